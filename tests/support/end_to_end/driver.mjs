/**
 * A program with one JavaScript client that does what it is asked, in Node or in a page.
 *
 * Asked `{id, what, ...}`, it says `{id, result}` or `{id, error}`, the code; and at any time
 * `{heard: [name, data]}` and `{state}`. Keys are told when it is asked to
 * `look`, and else never.
 */
const commands = (client) => ({
  isValid: ([key], options) => client.session.isValid(key, options),
  restore: ([key], options) => client.session.restore(key, options),
  login: ([method, credentials], options) => client.session.login(method, credentials, options),
  logout: ([scope], options) => client.session.logout({ ...options, ...(scope && { scope }) }),
  list: (_, options) => client.session.list(options),
  subscribe: (paths) => client.subscribe(...paths),
  unsubscribe: (paths) => client.unsubscribe(...paths),
  now: (_, options) => client.now(options),
});

/**
 * @param connect Makes the client.
 * @param defaults The options that this place needs.
 * @param say Takes what the program says.
 * @returns What takes a request.
 */
export function drive(connect, defaults, say) {
  let client;
  const work = {
    async connect({ url, options }) {
      client = connect(url, { ...defaults, ...options });
      client.on("", (name, data) => say({ heard: [name, data] }));
      client.onState((state) => say({ state }));
      await client.opened();
    },
    call: ({ method, args, options }) => commands(client)[method](args, options),
    callBack: ({ method, args }) =>
      new Promise((resolve) => client.session[method](...args, (error) => resolve(error))),
    look: () => ({
      state: client.state,
      error: client.error && client.error.code,
      recovered: client.recovered,
      key: client.session.getKey(),
      session: client.session.current,
    }),
    close: () => client?.close(),
  };
  return async ({ id, what, ...request }) => {
    try {
      say({ id, result: (await work[what](request)) ?? null });
    } catch (error) {
      say({ id, error: error.code ?? `a bug: ${error.stack}` });
    }
  };
}
