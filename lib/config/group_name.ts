/**
 * The name of a group, as commands take it: a near miss is told apart, as one that is merely accepted would name a
 * group that nothing is ever in.
 *
 * @module
 */
import type { z } from "zod";
import { groupOf, parseGroupId } from "../policy/flow.ts";
import { quoted } from "../printable.ts";
import { isServiceName } from "../service_name.ts";
import { leaf, ValueError, type Written } from "./units.ts";

/** `NAMESPACE/IMAGE`, as groups are named: an image that runs is written with its tag, a group never is. */
export function groupName(): z.ZodType<string, Written> {
  return leaf("GROUP", (text) => {
    const group = /^[\x21-\x7e]+$/.test(text) ? parseGroupId(text) : undefined;
    if (group === undefined) {
      throw new ValueError(
        `${quoted(text)} is no group: write NAMESPACE/IMAGE, such as shop/ghcr.io/acme/web`,
      );
    }
    const { namespace, image } = group;
    if (text.includes("*")) {
      throw new ValueError(
        `${
          quoted(text)
        } is no group: name one, see groups; modes for many groups go in the policy (spec.modes)`,
      );
    }
    if (!isServiceName(namespace)) {
      throw new ValueError(
        `${quoted(text)} is no group: ${quoted(namespace)} is no namespace, use a-z, 0-9 and inner hyphens` +
          (isServiceName(namespace.toLowerCase()) ? `, as in ${namespace.toLowerCase()}/${image}` : ""),
      );
    }
    const bare = groupOf(namespace, image, "").id;
    if (bare === text) return text;
    if (bare === `${namespace}/`) throw new ValueError(`${quoted(text)} is no group: the image has no name`);
    const what = image.includes("@") ? "digest" : "tag";
    throw new ValueError(`${quoted(text)} has a ${what}, a group has none: write ${bare}`);
  });
}
