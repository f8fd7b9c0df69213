// What a client's user does with the TypeScript fixture, told the same way by every SDK: one line of JSON for each step.
//
// The words a step prints are the same directly and through a gateway, or the gateway has changed something.

/** Asking how many calls were cancelled: a cancellation travels on its own. */
const POLLS_MAX = 200;
const POLL_MS = 25;

const say = (step, seen) => console.log(JSON.stringify({ step, ...seen }));

/** What a user answers to a form: the same for every field of a kind. */
function fill({ requestedSchema }) {
  const value = ({ type }) => (type === "boolean" ? true : "Ada");
  const fields = Object.entries(requestedSchema.properties).map(([name, field]) => [name, value(field)]);
  return { action: "accept", content: Object.fromEntries(fields) };
}

/** What this client can do for a server, how it does it, and a list of what it was asked. */
export function answering() {
  const asked = [];
  return {
    asked,
    capabilities: { elicitation: {}, sampling: {}, roots: {} },
    async elicit({ params }) {
      asked.push(params.message);
      return fill(params);
    },
    async sample({ params }) {
      asked.push(params.messages[0].content.text);
      return { role: "assistant", content: { type: "text", text: "Paris" }, model: "none" };
    },
    async roots() {
      asked.push("roots");
      return { roots: [{ uri: "file:///work", name: "work" }] };
    },
  };
}

/** `fetch`, and a list of the requests that resumed a stream. */
export function watching() {
  const resumptions = [];
  const watched = async (input, init) => {
    if (init?.method === "GET" && new Headers(init.headers).has("last-event-id")) {
      resumptions.push(input);
    }
    return fetch(input, init);
  };
  return { resumptions, fetch: watched };
}

/** The verbs that both packages spell alike. */
export function verbs(client) {
  return {
    async list() {
      const { tools } = await client.listTools();
      const { resources } = await client.listResources();
      const { prompts } = await client.listPrompts();
      return { tools, resources, prompts };
    },
    read: async (uri) => (await client.readResource({ uri })).contents,
    async subscribe(uri) {
      await client.subscribeResource({ uri });
      await client.unsubscribeResource({ uri });
      return true;
    },
    close: () => client.close(),
  };
}

/**
 * Tells the story. `client` is one SDK's client behind the same few verbs; `asked` fills with what the server asked of it.
 */
export async function tell({ client, asked, resumptions }) {
  say("connect", { era: client.era });
  say("list", await client.list());
  const text = async (name, given, options) => (await client.call(name, given, options)).content[0].text;

  const image = await client.call("test_image_content");
  say("call", { text: await text("test_simple_text"), image: image.content[0] });
  const failed = await client.call("test_error_handling");
  say("fail", { isError: failed.isError, text: failed.content[0].text });
  say("read", { contents: await client.read("test://template/7/data") });

  const progress = [];
  const onprogress = (report) => void progress.push(report.progress);
  say("progress", { text: await text("test_tool_with_progress", {}, { onprogress }), progress });

  say("elicit", { text: await text("test_elicitation", { message: "Who?" }), asked: asked.splice(0) });
  say("sample", { text: await text("test_sampling", { prompt: "Where?" }), asked: asked.splice(0) });
  say("several", { text: await text("test_input_required_result_multiple_inputs"), asked: asked.splice(0).sort() });
  say("rounds", { text: await text("test_input_required_result_multi_round"), asked: asked.splice(0) });

  say("cancel", await cancel(client, text));
  if (client.era === "modern") {
    say("listen", { changed: await client.listen("test_trigger_tool_change") });
  } else {
    say("resume", await resume(text, resumptions));
    say("subscribe", { changed: await client.subscribe("test://watched-resource") });
  }
  await client.close();
}

/** Calls a tool whose stream the server hangs up: its answer comes on the resumed one. */
async function resume(text, resumptions) {
  const answered = await text("test_reconnection").then(
    (words) => ({ text: words }),
    (refusal) => ({ refused: refusal.data?.error ?? refusal.message }),
  );
  return { ...answered, resumptions: resumptions.splice(0).length };
}

/** Cancels a call that has begun, and sees it end in the server: the fixture counts. */
async function cancel(client, text) {
  const before = Number(await text("count_cancelled"));
  const controller = new AbortController();
  const onprogress = () => controller.abort(new Error("no longer wanted"));
  const call = client.call("wait_until_cancelled", {}, { onprogress, signal: controller.signal });
  const refused = await call.then(
    () => false,
    () => true,
  );
  let cancelled = 0;
  for (let polls = 0; cancelled === 0 && polls < POLLS_MAX; polls += 1) {
    await new Promise((done) => setTimeout(done, POLL_MS));
    cancelled = Number(await text("count_cancelled")) - before;
  }
  return { refused, cancelled };
}
