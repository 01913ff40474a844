/**
 * Which services have their bodies recorded now; beginning and ending it.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { bytes, clock, duration } from "../core/format.ts";
import { isOperator } from "../core/session.ts";
import { links, nowMs } from "../core/state.ts";
import { Badge } from "../ui/badge.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { showToast } from "../ui/toast.tsx";
import type { Recording } from "./traffic_types.ts";
import { usePolled } from "./use_polled.ts";

const EVERY_MS = 5_000;
const MINUTES = [1, 5, 15, 60] as const;
const BODY_BYTES = [4 << 10, 64 << 10, 1 << 20] as const;

/** @param service The chosen one. */
export function Recordings({ service }: { readonly service: string | undefined }): JSX.Element {
  const { data, fault, again } = usePolled<{ items: readonly Recording[] }>("/recording", EVERY_MS);
  const [isAsking, setAsking] = useState(false);
  const running = data?.items ?? [];
  const stop = async (name: string): Promise<void> => {
    try {
      await ask("DELETE", "/recording", { query: { service: name } });
      showToast({ text: `The bodies of ${name} are recorded no longer` });
    } catch (error) {
      showToast({ kind: "fault", text: messageOf(error) });
    }
    again();
  };
  return (
    <div class="recordings">
      {running.map((recording) => (
        <Running
          key={recording.service}
          recording={recording}
          onStop={() => void stop(recording.service)}
        />
      ))}
      {fault !== "" && <p class="fault">{fault}</p>}
      <button
        type="button"
        disabled={!isOperator()}
        title={isOperator() ? undefined : "Viewers cannot record bodies: ask an operator"}
        onClick={() => setAsking(true)}
      >
        Record bodies…
      </button>
      {isAsking && <RecordDialog service={service} onClose={() => setAsking(false)} onStarted={again} />}
    </div>
  );
}

interface RunningProps {
  readonly recording: Recording;
  readonly onStop: () => void;
}

function Running({ recording, onStop }: RunningProps): JSX.Element {
  const { service, untilMs, bodyBytesMax, by } = recording;
  return (
    <p class="recording">
      <Badge word="warning" label="recording" /> Bodies of <b>{service}</b> are recorded, up to{" "}
      {bytes(bodyBytesMax)} each, until {clock(untilMs)} ({duration(Math.max(0, untilMs - nowMs.value))}{" "}
      left), by {by}{" "}
      {isOperator() && (
        <button type="button" aria-label={`Stop recording ${service}`} onClick={onStop}>Stop</button>
      )}
    </p>
  );
}

interface RecordDialogProps {
  readonly service: string | undefined;
  readonly onClose: () => void;
  readonly onStarted: () => void;
}

function RecordDialog({ service, onClose, onStarted }: RecordDialogProps): JSX.Element {
  const raw = new Set(links.value.flatMap((link) => link.tcp));
  const names = [...new Set(links.value.flatMap((link) => link.services))].filter((name) => !raw.has(name))
    .sort();
  const [wanted, setWanted] = useState({
    service: service !== undefined && names.includes(service) ? service : names[0] ?? "",
    ...{ minutes: 5, bodyBytesMax: 64 << 10 },
  });
  const [fault, setFault] = useState("");
  const start = async (): Promise<void> => {
    try {
      await ask<Recording>("PUT", "/recording", { json: wanted });
      onStarted();
      onClose();
    } catch (error) {
      setFault(messageOf(error));
    }
  };
  return (
    <Dialog title="Record bodies" onClose={onClose}>
      <p>
        For a while the gateway keeps the bodies of requests and answers, in its memory alone, and the heads
        with their secrets, so that a request can be replayed. Operators can read the bodies; what looks like
        a secret is masked. Your name goes into the audit log.
      </p>
      <RecordFields names={names} wanted={wanted} set={(patch) => setWanted({ ...wanted, ...patch })} />
      {names.length === 0 && (
        <p class="warning">No service of HTTP is linked now: there is nothing to record.</p>
      )}
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      <footer class="dialog-foot">
        <button type="button" onClick={onClose}>Cancel</button>
        <button type="button" class="primary" disabled={wanted.service === ""} onClick={() => void start()}>
          Record
        </button>
      </footer>
    </Dialog>
  );
}

interface Wanted {
  readonly service: string;
  readonly minutes: number;
  readonly bodyBytesMax: number;
}

interface RecordFieldsProps {
  readonly names: readonly string[];
  readonly wanted: Wanted;
  readonly set: (patch: Partial<Wanted>) => void;
}

function RecordFields({ names, wanted, set }: RecordFieldsProps): JSX.Element {
  return (
    <div class="toolbar">
      <label>
        Service
        <select value={wanted.service} onChange={(event) => set({ service: event.currentTarget.value })}>
          {names.map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
      </label>
      <label>
        For
        <select
          value={String(wanted.minutes)}
          onChange={(event) => set({ minutes: Number(event.currentTarget.value) })}
        >
          {MINUTES.map((minutes) => <option key={minutes} value={String(minutes)}>{minutes} min</option>)}
        </select>
      </label>
      <label>
        Of each body
        <select
          value={String(wanted.bodyBytesMax)}
          onChange={(event) => set({ bodyBytesMax: Number(event.currentTarget.value) })}
        >
          {BODY_BYTES.map((size) => <option key={size} value={String(size)}>{bytes(size)}</option>)}
        </select>
      </label>
    </div>
  );
}
