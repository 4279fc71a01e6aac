/**
 * A headless Chromium, driven over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/).
 *
 * @module
 */

/** A tab. */
export interface Tab {
  /** Calls a method of the protocol. */
  readonly call: (method: string, params?: object) => Promise<Readonly<Record<string, unknown>>>;
  /** The value of an expression, promises awaited; rejects with what it throws. */
  readonly value: <Value>(expression: string) => Promise<Value>;
  /** Waits until an expression is true. */
  readonly until: (expression: string, seconds: number) => Promise<void>;
  /** What the page has logged as errors. */
  readonly errors: readonly string[];
}

/** A browser. Disposing it ends it and removes its profile. */
export interface Browser extends AsyncDisposable {
  /** Opens a tab of a size. */
  readonly open: (address: string, width?: number, height?: number) => Promise<Tab>;
}

/** Whether there is one here. */
export async function hasChromium(): Promise<boolean> {
  try {
    return (await new Deno.Command("chromium", { args: ["--version"], stdout: "null", stderr: "null" }).output())
      .success;
  } catch {
    return false;
  }
}

interface Answer {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

/** The address that a browser prints when it is ready. */
async function addressOf(stderr: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let text = "";
  const reader = stderr.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    text += value ?? "";
    const found = /DevTools listening on (ws:\S+)/.exec(text);
    if (found !== null) {
      // What it says later is of no use, but must be read.
      (async () => {
        while (!(await reader.read()).done);
      })().catch(() => {});
      return found[1];
    }
    if (done) throw new Error(`chromium did not start: ${text}`);
  }
}

/**
 * Starts a browser.
 *
 * @param downloads Where files go that pages download
 * @param gpu Whether pages get WebGPU, by the browser's own software adapter (default false)
 */
export async function startChromium(downloads: string, gpu = false): Promise<Browser> {
  const profile = await Deno.makeTempDir();
  const process = new Deno.Command("chromium", {
    args: [
      ...["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"],
      ...gpu
        ? ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--use-angle=swiftshader"]
        : ["--disable-gpu"],
      ...["--disable-background-networking", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"],
    ],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const socket = new WebSocket(await addressOf(process.stderr));
  await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
  const waiting = new Map<number, PromiseWithResolvers<Readonly<Record<string, unknown>>>>();
  const errors = new Map<string, string[]>();
  let last = 0;
  socket.onmessage = ({ data }) => {
    const { id, sessionId = "", method, params, result, error }: Answer = JSON.parse(data);
    const entry = params?.entry as { readonly level: string } | undefined;
    if (method === "Runtime.exceptionThrown" || entry?.level === "error") {
      errors.get(sessionId)?.push(JSON.stringify(params));
    }
    if (id === undefined) return;
    if (error !== undefined) waiting.get(id)?.reject(new Error(error.message));
    else waiting.get(id)?.resolve(result ?? {});
    waiting.delete(id);
  };
  const call = (method: string, params: object = {}, sessionId?: string) => {
    const answer = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    waiting.set(++last, answer);
    socket.send(JSON.stringify({ id: last, method, params, sessionId }));
    return answer.promise;
  };
  await call("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: downloads });
  return {
    open: async (address, width = 1200, height = 900) => {
      const { targetId } = await call("Target.createTarget", { url: "about:blank" });
      const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true }) as { sessionId: string };
      const found: string[] = [];
      errors.set(sessionId, found);
      const own = (method: string, params?: object) => call(method, params, sessionId);
      await Promise.all(["Runtime.enable", "Log.enable", "Page.enable"].map((method) => own(method)));
      await own("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
      await own("Page.navigate", { url: address });
      const value = async <Value>(expression: string) => {
        const { result, exceptionDetails } = await own("Runtime.evaluate", {
          expression,
          awaitPromise: true,
          returnByValue: true,
        }) as { result: { value: Value }; exceptionDetails?: object };
        if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
        return result.value;
      };
      const until = async (expression: string, seconds: number) => {
        for (const end = performance.now() + 1000 * seconds; performance.now() < end;) {
          // While it navigates there is nothing to ask.
          if (await value(expression).catch(() => false) === true) return;
          await new Promise((resolve) => setTimeout(resolve, 25));
        }
        const status = await value("document.body?.innerText.slice(0, 600)").catch(String);
        throw new Error(`not within ${seconds} s: ${expression}; the page says ${status} ${found.join("; ")}`);
      };
      return { call: own, value, until, errors: found };
    },
    [Symbol.asyncDispose]: async () => {
      await call("Browser.close").catch(() => {});
      socket.close();
      await process.status;
      await Deno.remove(profile, { recursive: true }).catch(() => {});
    },
  };
}
