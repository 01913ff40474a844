/**
 * Tests of what is masked: whatever a secret is hidden in, it must not come out.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { FieldMasks } from "../../lib/traffic/mask_fields.ts";
import { maskJson } from "../../lib/traffic/mask_json.ts";
import { maskPairs } from "../../lib/traffic/mask_pairs.ts";
import { maskText, maskTextSteps } from "../../lib/traffic/mask_text.ts";
import { isSecretName } from "../../lib/traffic/secret_names.ts";

/** Stands for the secret in every case. */
const S = "hunter2SECRETvalue";

test("names of secrets are known in every usual spelling, and common words are not", () => {
  const secret = [
    ...["token", "access_token", "accessToken", "X-Auth-Token", "x_api_key", "apiKey", "API-KEY", "api.key"],
    ...["password", "user[password]", "passwd", "pwd", "Passphrase", "client_secret", "clientSecret", "code"],
    ...["authCode", "sig", "signature", "X-Amz-Signature", "jsessionid", "PHPSESSID_session", "sid", "jwt"],
    ...["key", "secretKey", "credential", "X-CSRF", "otp", "totp", "pin", "x-auth", "Authorization", "nonce"],
    ...["PHPSESSID", "sess_id", "SAMLResponse", "accesskey", "authkey", "encryptionkey"],
    "x".repeat(257),
  ];
  const plain = [
    ...["host", "user-agent", "accept", "content-type", "monkey", "keyboard", "author", "codec", "page"],
    ...["postcode", "barcode", "opinion", "etag", "x-forwarded-for", "id", "name", "status", "signal", ""],
  ];
  expect(secret.filter((name) => !isSecretName(name))).toEqual([]);
  expect(plain.filter((name) => isSecretName(name))).toEqual([]);
  expect([secret.length, plain.length]).toEqual([41, 19]);
});

describe("header fields", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["Authorization", `Bearer ${S}`, "Bearer [masked]"],
    ["AUTHORIZATION", `bAsIc ${S}`, "bAsIc [masked]"],
    ["authorization", S, "[masked]"],
    ["authorization", `${S} tail`, "[masked]"],
    ["authorization", `Bearer`, "[masked]"],
    ["Authorization", `Digest username="a", response="${S}"`, "Digest [masked]"],
    ["Proxy-Authorization", `Negotiate ${S}`, "Negotiate [masked]"],
    ["Cookie", `sid=${S}; theme=${S}`, "sid=[masked]; theme=[masked]"],
    ["cookie", S, "[masked]"],
    ["Cookie", `a=b;;=${S};  c = ${S}`, "a=[masked]; ; [masked]; c=[masked]"],
    ["Cookie", `a="x; ${S}=y"; b=${S}`, "[masked]"],
    ["Cookie", `b=${S}; a="x; ${S}=y"`, "b=[masked]; [masked]"],
    ["Cookie", `${S} x=1`, "[masked]"],
    ["Cookie", `a=${S}=${S}`, "a=[masked]"],
    [
      "Set-Cookie",
      `sid=${S}; Path=/; HttpOnly; SameSite=Lax`,
      "sid=[masked]; Path=/; HttpOnly; SameSite=Lax",
    ],
    ["Set-Cookie", `${S}`, "[masked]"],
    ["Set-Cookie", `sid=a; ${S}; x=${S}`, "sid=[masked]; [masked]; [masked]"],
    ["Set-Cookie", `sid="a; Path=${S}"`, "sid=[masked]"],
    ["X-Api-Key", S, "[masked]"],
    ["x_api_key", S, "[masked]"],
    ["X-Auth-Anything", S, "[masked]"],
    ["My-Token", S, "[masked]"],
    ["X-Secret-Sauce", S, "[masked]"],
    ["X-User-Password", S, "[masked]"],
    ["Referer", `https://a.example/x?token=${S}&b=2`, "https://a.example/x?token=[masked]&b=2"],
    ["Location", `/cb?code=${S}#access_token=${S}`, "/cb?code=[masked]#access_token=[masked]"],
    ["location", `https://user:${S}@host/`, "https://[masked]@host/"],
    ["Link", `<https://a/?sig=${S}>; rel="next"`, '<https://a/?sig=[masked]>; rel="next"'],
    ["X-Original-Url", `/a?key=${S}`, "/a?key=[masked]"],
    ["Sec-WebSocket-Protocol", `bearer, ${S}`, "[masked]"],
    ["X-Plain", `Bearer ${S}`, "Bearer [masked]"],
    ["X-Plain", `eyJhbGciOiJI.${S}.x`, "[masked]"],
    ["Idempotency-Key", "k1", "k1"],
    ["Sec-WebSocket-Key", "dGhl", "dGhl"],
    ["Accept", "text/html", "text/html"],
    ["User-Agent", "Basically/1.0", "Basically/1.0"],
    ["X-Empty-Token", "", ""],
  ];
  test("keep what helps and give no secret away", () => {
    const masks = new FieldMasks();
    for (const [name, value, wanted] of cases) {
      expect([name, value, masks.mask(name, value)]).toEqual([name, value, wanted]);
      expect(wanted).not.toContain(S);
      // What is masked already stays as it is.
      expect(masks.mask(name, wanted)).not.toContain(S);
    }
    expect(cases).toHaveLength(37);
  });

  test("a flood of made up names neither fills the memory nor changes what is masked", () => {
    const masks = new FieldMasks();
    for (let i = 0; i < 5_000; i++) masks.mask(`x-made-up-${i}`, "v");
    expect(masks.mask("Authorization", `Bearer ${S}`)).toBe("Bearer [masked]");
    expect(masks.mask(`x-${"y".repeat(300)}`, S)).toBe("[masked]");
  });
});

describe("targets", () => {
  const cases: readonly (readonly [string, string])[] = [
    [`/a?token=${S}`, "/a?token=[masked]"],
    [`/a?x=1&TOKEN=${S}&y=2`, "/a?x=1&TOKEN=[masked]&y=2"],
    [`/a?token=${S}&token=${S}`, "/a?token=[masked]&token=[masked]"],
    [`/a?%74oken=${S}`, "/a?%74oken=[masked]"],
    [`/a?to%6Ben=${S};key=${S}`, "/a?to%6Ben=[masked];key=[masked]"],
    [`/a?user[password]=${S}`, "/a?user[password]=[masked]"],
    [`/a?user%5Bpassword%5D=${S}`, "/a?user%5Bpassword%5D=[masked]"],
    [`/a?%ff%fetoken=${S}`, "/a?%ff%fetoken=[masked]"],
    [`/a?x?token=${S}`, "/a?x?token=[masked]"],
    [`/a;jsessionid=${S}`, "/a;jsessionid=[masked]"],
    [`/a?token=a=${S}`, "/a?token=[masked]"],
    [`/a?next=https://b/?code=${S}`, "/a?next=https://b/?code=[masked]"],
    ["/a?x=1&b=2", "/a?x=1&b=2"],
    ["/a?x=%20%zz&empty", "/a?x=%20%zz&empty"],
    ["/a?token=", "/a?token="],
    ["*", "*"],
  ];
  test("show everything but the values of secret parameters", () => {
    for (const [target, wanted] of cases) expect([target, maskPairs(target)]).toEqual([target, wanted]);
    expect(cases).toHaveLength(16);
  });

  test("parameters within parameters are looked into", () => {
    const inner = encodeURIComponent(`https://b/?token=${S}`);
    const twice = encodeURIComponent(`https://b/?next=${inner}`);
    const document = encodeURIComponent(JSON.stringify({ password: S }));
    const texts = [
      `/a?r=${inner}`,
      `/a?r=${twice}`,
      `/a?f=${document}`,
      `/a?${encodeURIComponent(`token=${S}`)}`,
    ];
    for (const text of texts) {
      expect(decodeURIComponent(decodeURIComponent(maskPairs(text)))).not.toContain(S);
    }
    expect(texts).toHaveLength(4);
  });
});

describe("bodies", () => {
  const nested = JSON.stringify({ body: JSON.stringify({ deep: JSON.stringify({ token: S }) }) });
  const cases: readonly (readonly [string, string, string])[] = [
    ["json", "application/json", JSON.stringify({ password: S, a: 1 })],
    ["json with spaces", "application/json", `{ "password"  :\n "${S}" }`],
    ["a number", "application/json", `{"pin": 123, "secret": ${S}}`],
    ["a list", "application/json", JSON.stringify({ tokens: [S, { x: S }, [S]] })],
    ["an object", "application/json", JSON.stringify({ credentials: { a: S, b: { "}": S } } })],
    ["brackets in a string", "application/json", `{"token":["]}","${S}"],"a":1}`],
    ["quotes in a string", "application/json", `{"token":"a\\"${S}","a":1}`],
    ["an escaped key", "application/json", `{"\\u0074oken":"${S}"}`],
    ["json in json in json", "application/json", nested],
    ["cut in the value", "application/json", `{"a":1,"token":"${S}`],
    ["cut in a list", "application/json", `{"a":1,"token":["x","${S}`],
    ["cut in json in json", "application/json", nested.slice(0, -6)],
    ["broken", "application/json", `{{"token":"${S}",,,`],
    ["lines of json", "application/x-ndjson", `{"a":1}\n{"token":"${S}"}\n`],
    ["server-sent events", "text/event-stream", `data: {"token":"${S}"}\n\n`],
    ["json that says it is text", "text/plain", `{"token":"${S}"}`],
    ["json that says nothing", "", `[{"token":"${S}"}]`],
    ["an address in json", "application/json", `{"url":"https://a/?sig=${S}"}`],
    ["form", "application/x-www-form-urlencoded", `a=1&password=${S}&b=2`],
    ["form, encoded name", "application/x-www-form-urlencoded", `pass%77ord=${S}`],
    ["form, plus", "application/x-www-form-urlencoded", `my+token=${S}`],
    ["form that says nothing", "", `password=${S}&a=1`],
    ["form that says it is json", "application/json", `password=${S}&a=1`],
    [
      "multipart",
      "multipart/form-data; boundary=bb",
      `--bb\r\nContent-Disposition: form-data; name="password"\r\n\r\n${S}\r\n--bb--`,
    ],
    [
      "multipart with json in it",
      'multipart/form-data; charset=utf-8; boundary="bb"',
      `--bb\r\nContent-Disposition: form-data; name=data\r\n\r\n{"token":"${S}"}\r\n--bb--`,
    ],
    ["xml", "application/xml", `<a><password>${S}</password></a>`],
    ["xml attribute", "application/xml", `<a password="${S}" token='${S}'/>`],
    ["an input", "text/html", `<input type=hidden name="csrf_token" value="${S}">`],
    ["a meta", "text/html", `<meta name="csrf-token" content="${S}">`],
    ["xml, quoted", "application/xml", `<a><password><![CDATA[a]]>b<![CDATA[<${S}>]]></password></a>`],
    ["xml, quoted and cut", "application/xml", `<a><password><![CDATA[${S}`],
    ["xml, named", "application/xml", `<param name="password">${S}</param>`],
    ["xml attribute with a bracket", "application/xml", `<a token='x>${S}' b="c">d</a>`],
    ["xml attribute, not closed", "application/xml", `<a token="x${S}>d</a>`],
    ["html attribute without quotes", "text/html", `<input name=token value=${S}>`],
    ["a query in json", "application/json", JSON.stringify({ query: `{ login(password: "${S}") { id } }` })],
    ["source", "text/plain", `let a = {x: 1, 'api_key': '${S}', b: "c"}; token = "${S}"`],
    ["a hash that is printed", "text/plain", `{"a"=>1, "token"=>"a\\"${S}"}, {:b=>2}`],
    ["a secret beside what is masked", "text/plain", `password: [masked]${S}\n`],
    [
      "multipart that says two things",
      "multipart/form-data; boundary=bb, text/plain",
      `--bb\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n` +
      `--bb\r\nContent-Disposition: form-data; name="password"\r\n\r\n${S}\r\n--bb--`,
    ],
    [
      "multipart that says nothing, with a name in another way",
      "",
      `--b b\r\nContent-Disposition: form-data; x=1; name*=UTF-8''token\r\n\r\n${S}\r\n--b b--`,
    ],
    ["a web token behind a dash", "text/plain", `x-eyJhbGciOi.${S}.sig`],
    ["a long parameter", "application/x-www-form-urlencoded", `a=${"b:".repeat(20_000)}&x=%3Dtoken%3D${S}`],
    ["a very long parameter", "application/x-www-form-urlencoded", `a=${"b:".repeat(20_000)}token=${S}`],
    ["an assertion", "application/x-www-form-urlencoded", `RelayState=a&SAMLResponse=${S}`],
    ["yaml", "application/yaml", `db:\n  password: ${S}\n- api_key: "${S}"\n`],
    ["environment", "text/plain", `A=1\nCLIENT_SECRET=${S}\n`],
    ["a header in a text", "text/plain", `> Authorization: Bearer ${S}\n`],
    ["bearer anywhere", "text/plain", `curl -H 'x: bearer ${S}'`],
    ["a web token anywhere", "text/plain", `see eyJhbGciOi.${S}.sig here`],
    ["a private key", "text/plain", `-----BEGIN EC PRIVATE KEY-----\n${S}\n-----END EC PRIVATE KEY-----`],
  ];
  test("show no secret, whatever they say they are", () => {
    for (const [name, type, text] of cases) {
      const masked = maskText(text, type);
      expect([name, masked.includes(S)]).toEqual([name, false]);
      expect([name, masked.includes("[masked]")]).toEqual([name, true]);
    }
    expect(cases).toHaveLength(51);
  });

  test("a secret is masked wherever in a long text it stands", () => {
    const secrets = [
      `{"token":"${S}"}`,
      `\npassword: ${S}\n`,
      `f(password: "${S}")`,
      `<password>${S}</password>`,
    ];
    let count = 0;
    for (const secret of secrets) {
      for (let before = 4_050; before < 4_110; before++) {
        const masked = maskText(
          `${"ab cd,".repeat(before).slice(0, before)}${secret}${" x".repeat(9_000)}`,
          "",
        );
        expect([secret, before, masked.includes(S)]).toEqual([secret, before, false]);
        count++;
      }
    }
    expect(count).toBe(240);
  });

  test("what is no secret stays as it is, byte for byte", () => {
    const texts = [
      '{ "a" : [1, 2.50, "x\\u00e9", null],\r\n "author":"b" }',
      "a=1&b=2%20c&d",
      "<html><body class='x'>Hello & welcome</body></html>",
      "key figures were fine\nname: value\n",
      '<h1 id="authentication" class="a>b">How to sign in</h1><p title=\'x\'>a < b</p><br/><a',
      "name = 'value', other: \"x\" => 'y'",
      "",
      "{",
      '"',
    ];
    for (const text of texts) expect(maskText(text, "")).toBe(text);
    expect(texts).toHaveLength(9);
  });

  test("a megabyte made to be slow takes no longer than any other", () => {
    const pieces = [
      ...[
        '"',
        "<",
        "a=",
        "name=a\r\n",
        "eyJaaaa.",
        '{"token":',
        "-----BEGIN ",
        "&token",
        "%3d",
        '\\"',
        "<a ",
      ],
      ...[
        "bearer aaaaaaa",
        '"a":"\\"',
        "// @",
        "-",
        "token[",
        " - ",
        "[",
        "{",
        '{"a":"',
        "=;",
        " = ",
        "<a b='",
      ],
      ...["-eyJ", `<${"a".repeat(4_000)}`, `<${'ab="c" '.repeat(580)}>`, "password='", '"a=b",', 'x:"'],
    ];
    const startMs = performance.now();
    for (const piece of pieces) {
      const text = piece.repeat((1 << 20) / piece.length);
      // It pauses all the time, so that nobody else waits for the whole of it.
      const all = maskTextSteps(text, "text/plain");
      let [steps, step] = [1, all.next()];
      for (; step.done !== true; step = all.next()) steps++;
      // What is masked whole is done at once.
      const isPaced = steps > 60 || step.value.length < 1_000;
      expect([piece.slice(0, 20), isPaced]).toEqual([piece.slice(0, 20), true]);
      maskText(text, "application/x-www-form-urlencoded");
      maskText(text, 'multipart/form-data; boundary="a"');
    }
    // A pattern that goes back over what it has read takes minutes for one of them.
    expect(performance.now() - startMs).toBeLessThan(60_000);
    expect(pieces).toHaveLength(29);
  }, 120_000);

  test("deep nesting is walked without a stack", () => {
    const deep = `{"token":${"[".repeat(500_000)}"${S}"${"]".repeat(500_000)}}`;
    expect(maskJson(deep)).toBe('{"token":"[masked]"}');
  });
});
