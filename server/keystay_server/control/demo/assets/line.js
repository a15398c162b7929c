// A line that can be cut. The client is given this in place of the browser's WebSocket, and notices
// what it would notice if the cable were pulled. Only the server learns of it sooner than it would.

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 3;
const LOST = 1006; // RFC 6455, 7.4.1: closed without a word.

/** Makes WebSockets, all of which go over the same line. */
export class Line {
  isCut = false;
  #ends = new Set();

  constructor() {
    const ends = this.#ends;
    const isCut = () => this.isCut;
    this.WebSocket = class extends End {
      constructor(url, protocols) {
        super(url, protocols, isCut(), ends);
      }
    };
  }

  cut() {
    this.isCut = true;
    for (const end of this.#ends) end.lose();
    dispatchEvent(new Event("offline")); // What a browser says of its own cable.
  }

  mend() {
    this.isCut = false;
    dispatchEvent(new Event("online"));
  }
}

/** One WebSocket, as its user sees it. */
class End extends EventTarget {
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;
  #socket = null;
  #ends;
  #state = CONNECTING;

  constructor(url, protocols, isCut, ends) {
    super();
    this.url = url;
    this.#ends = ends;
    ends.add(this);
    if (isCut) {
      queueMicrotask(() => this.lose()); // Not before its user listens.
      return;
    }
    this.#socket = new WebSocket(url, protocols);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      this.#state = OPEN;
      this.#tell(new Event("open"));
    };
    this.#socket.onmessage = ({ data }) => this.#tell(new MessageEvent("message", { data }));
    this.#socket.onerror = () => this.#tell(new Event("error"));
    this.#socket.onclose = ({ code, reason, wasClean }) => this.#end({ code, reason, wasClean });
  }

  get readyState() {
    return this.#state === CLOSED ? CLOSED : (this.#socket?.readyState ?? this.#state);
  }

  get protocol() {
    return this.#socket?.protocol ?? "";
  }

  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  get binaryType() {
    return "arraybuffer";
  }

  set binaryType(_) {
    // The only one there is here.
  }

  send(data) {
    this.#socket?.send(data);
  }

  close(code, reason) {
    if (this.#socket) this.#socket.close(code, reason);
    else this.lose();
  }

  /** The line is cut: its user gets nothing more, not even what is on its way. */
  lose() {
    const socket = this.#socket;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onerror = socket.onclose = null;
      socket.close();
    }
    if (this.#state === CLOSED) return;
    this.#tell(new Event("error"));
    this.#end({ code: LOST, reason: "", wasClean: false });
  }

  #end(how) {
    this.#ends.delete(this);
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#tell(new CloseEvent("close", how));
  }

  #tell(event) {
    this.dispatchEvent(event);
    this[`on${event.type}`]?.(event);
  }
}
