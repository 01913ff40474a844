/**
 * The view of the policy: rules, modes, networks and limits on a draft, the whole as text, its versions, the bans.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { shortMoment } from "../core/format.ts";
import { place } from "../core/router.ts";
import { isOperator } from "../core/session.ts";
import { policyVersion, status } from "../core/state.ts";
import { visible } from "../core/visible.ts";
import { Empty } from "../ui/empty.tsx";
import { ViewLink } from "../ui/link.tsx";
import { DraftBar, StagedBar } from "./draft_bar.tsx";
import { LimitsTab } from "./limits_tab.tsx";
import { AuditTab, BansTab } from "./lists.tsx";
import { ModesTab } from "./modes_tab.tsx";
import { NetworksTab } from "./networks_tab.tsx";
import {
  claimDrafts,
  inForce,
  isTextChanged,
  readFault,
  readPolicy,
  readStaged,
  roughNowMs,
  shown,
} from "./policy_state.ts";
import { RulesTab } from "./rules_tab.tsx";
import { VersionsTab } from "./versions_tab.tsx";
import { YamlTab } from "./yaml_tab.tsx";

const TABS = [
  ["rules", "Rules"],
  ["modes", "Modes"],
  ["networks", "Networks"],
  ["limits", "Rate limits"],
  ["yaml", "YAML"],
  ["versions", "Versions"],
  ["audit", "Audit log"],
  ["bans", "Bans"],
] as const;
type Tab = (typeof TABS)[number][0];

export function PolicyView(): JSX.Element {
  const version = policyVersion.value;
  const isStaged = status.value?.firewall?.isStaged;
  useEffect(claimDrafts, []);
  useEffect(() => {
    void readPolicy();
  }, [version]);
  useEffect(() => {
    if (isStaged !== undefined) void readStaged(isStaged);
  }, [isStaged, version]);
  const tab = TABS.find(([name]) => name === place.value.params.get("tab"))?.[0] ?? "rules";
  if (status.value !== undefined && status.value.firewall === undefined) return <FirewallOff />;
  return (
    <div class="policy">
      <Head />
      <Tabs tab={tab} />
      <DraftBar />
      <StagedBar />
      {readFault.value !== "" && <p class="fault" role="alert">{readFault.value}</p>}
      {inForce.value === undefined
        ? readFault.value === "" && <p aria-busy="true">Reading the policy…</p>
        : <Current tab={tab} />}
    </div>
  );
}

function Tabs({ tab }: { readonly tab: Tab }): JSX.Element {
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    // On a narrow screen the tabs scroll sideways.
    nav.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [tab]);
  return (
    <nav ref={nav} class="policy-tabs" aria-label="Parts of the policy">
      {TABS.map(([name, words]) => (
        <ViewLink key={name} view="policy" params={tabParams(name)} class="tab" current={name === tab}>
          {words}
          {countOf(name) !== undefined && <span class="policy-count">{countOf(name)}</span>}
          {name === "yaml" && isTextChanged.value && <span title="Changes not applied">•</span>}
        </ViewLink>
      ))}
    </nav>
  );
}

function tabParams(name: Tab): Record<string, string | undefined> {
  return { tab: name === "rules" ? undefined : name };
}

/** How many of its things there are. */
function countOf(tab: Tab): number | undefined {
  const spec = shown.value?.spec;
  if (spec === undefined) return undefined;
  if (tab === "rules") return spec.rules.length;
  if (tab === "modes") return spec.modes.length;
  if (tab === "networks") return Object.keys(spec.networks).length;
  return tab === "limits" ? spec.rateLimits.length : undefined;
}

function Current({ tab }: { readonly tab: Tab }): JSX.Element {
  if (tab === "modes") return <ModesTab />;
  if (tab === "networks") return <NetworksTab />;
  if (tab === "limits") return <LimitsTab />;
  if (tab === "yaml") return <YamlTab />;
  if (tab === "versions") return <VersionsTab />;
  if (tab === "audit") return <AuditTab />;
  if (tab === "bans") return <BansTab />;
  return <RulesTab />;
}

function Head(): JSX.Element {
  const current = inForce.value;
  return (
    <p class="muted policy-head">
      {current !== undefined && (
        <>
          Version {current.version} is in force, made by {current.by}{" "}
          {shortMoment(current.atMs, roughNowMs.value)}
          {current.comment !== "" && <>: {visible(current.comment)}</>}.
        </>
      )} {!isOperator() && <>You are a viewer: you see everything, and can change nothing.</>}
    </p>
  );
}

function FirewallOff(): JSX.Element {
  return (
    <Empty title="The firewall is off">
      <p>
        There is no policy, and everything passes. Start the gateway without <code>--firewall=off</code>{" "}
        to learn, warn and block.
      </p>
    </Empty>
  );
}
