/**
 * The panel about one edge, or about one group, in whatever view the user is: `?edge=ID` or `?group=NAMESPACE/IMAGE`.
 *
 * @module
 */
import type { JSX } from "preact";
import { place, setParams } from "../core/router.ts";
import { EdgeDetail } from "./edge_detail.tsx";
import { GroupDetail } from "./group_detail.tsx";

/** Longer than any id that can be. */
const ID_CHARS_MAX = 1_024;

export function Detail(): JSX.Element | null {
  const { params } = place.value;
  const edge = (params.get("edge") ?? "").slice(0, ID_CHARS_MAX);
  const group = (params.get("group") ?? "").slice(0, ID_CHARS_MAX);
  const close = (): void => setParams({ edge: undefined, group: undefined }, "push");
  if (edge !== "") return <EdgeDetail id={edge} onClose={close} />;
  if (group !== "") return <GroupDetail id={group} onClose={close} />;
  return null;
}
