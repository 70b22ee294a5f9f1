// The conversation on screen: messages in groups, days, notices, the line above what is new, and where the page is scrolled to.
import { byID, el, icon, keyed, setText } from "./dom.js";
import { avatar, dayKey, dayName, momentOf, onlyEmoji, paint, plural, timeOf, together, withLinks } from "./text.js";

const GROUP_WITHIN = 5 * 60_000; // milliseconds between messages of one group
const NEAR_END = 48; // pixels from the end that still count as being there
const NEAR_START = 300; // pixels from the start at which what was said earlier is fetched

const STATUS = { pending: ["clock", "Sending"], delivered: ["check", "Delivered"], failed: ["warning", "Not sent"] };

export class Log {
  #log = byID("log");
  #pill = byID("pill");
  #shown = ""; // the room that is drawn
  #atEnd = true;
  #top = 0; // where the log was scrolled to when that was last looked at
  #missed = 0; // messages that came in while the page was scrolled up
  #last = ""; // key of the last message drawn
  #first = ""; // and of the first

  // actions: again(message), discard(message), seen(room), earlier(room).
  constructor(store, actions) {
    this.store = store;
    this.actions = actions;
    this.#draw = keyed(this.#log, (item) => this.#build(item), (node, item) => this.#update(node, item));
    this.#log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#pill.addEventListener("click", () => this.toEnd(true));
    new ResizeObserver(() => this.#follows() && this.toEnd()).observe(this.#log);
    document.addEventListener("visibilitychange", () => this.#look());
    window.addEventListener("focus", () => this.#look());
  }

  #draw;

  // watching: the person has the end of the conversation before their eyes.
  get watching() {
    return this.#atEnd && document.visibilityState === "visible" && document.hasFocus();
  }

  get atEnd() {
    return this.#atEnd;
  }

  toEnd(smooth = false) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#log.scrollTo({ top: this.#log.scrollHeight, behavior: smooth && !calm ? "smooth" : "instant" });
    this.#top = this.#log.scrollTop;
  }

  // #follows tells whether the log stays at its end when it grows. The event of scrolling comes with the next frame:
  // who scrolled up a moment ago must not be taken back to the end by what happens to be drawn until then.
  #follows() {
    if (this.#log.scrollTop !== this.#top) this.#scrolled();
    return this.#atEnd;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.#top = scrollTop;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    if (this.#atEnd) this.#look();
    const room = this.store.current;
    if (room?.more && !room.loading && scrollTop < NEAR_START && !this.#atEnd) this.actions.earlier(room);
    this.#drawPill();
  }

  #look() {
    const room = this.store.current;
    if (!room || !this.watching) return;
    this.#missed = 0;
    if (room.unread > 0) this.actions.seen(room);
  }

  render() {
    const room = this.store.current;
    if (!room) return;
    const switched = this.#shown !== room.name;
    if (switched) this.#switch(room);
    else this.#follows();
    const items = itemsOf(room, this.store);
    const stay = this.#log.scrollHeight - this.#log.scrollTop;
    this.#draw(items);
    this.#afterDraw(room, switched, stay);
  }

  // #switch tells a screen reader which conversation this is; a hundred old messages are not read out.
  #switch(room) {
    this.#shown = room.name;
    this.#missed = 0;
    this.#atEnd = true;
    this.#log.setAttribute("aria-label", `Messages in ${room.name}`);
    this.#log.setAttribute("aria-live", "off");
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#log.setAttribute("aria-live", "polite"), 600);
  }

  #quiet = 0;

  #afterDraw(room, switched, stay) {
    const last = room.last;
    const news = !switched && last && last.key !== this.#last;
    const first = room.lines.find((line) => line.kind === "message");
    const before = !switched && !news && first && first.key !== this.#first;
    this.#last = last?.key ?? "";
    this.#first = first?.key ?? "";
    if (switched) {
      const mark = this.#log.querySelector(".new-line");
      if (mark) this.#log.scrollTop = Math.max(0, mark.offsetTop - this.#log.clientHeight / 3);
      else this.toEnd();
      this.#scrolled();
    } else if (this.#atEnd || (news && this.store.isMine(last) && last.status === "pending")) {
      this.toEnd();
    } else if (news && !this.store.isMine(last)) {
      this.#missed++;
    } else if (before) {
      this.#log.scrollTop = this.#log.scrollHeight - stay; // what was before the eyes stays there
    } else if (stay < this.#log.scrollHeight - this.#log.scrollTop && this.#log.scrollTop === 0) {
      this.#log.scrollTop = this.#log.scrollHeight - stay;
    }
    this.#drawPill();
  }

  #drawPill() {
    const hide = this.#atEnd;
    if (this.#pill.hidden !== hide) this.#pill.hidden = hide;
    if (hide) this.#missed = 0;
    const words = this.#missed > 0 ? plural(this.#missed, "new message", "new messages") : "Latest";
    if (this.#pill.dataset.words === words) return;
    this.#pill.dataset.words = words;
    this.#pill.classList.toggle("news", this.#missed > 0);
    this.#pill.replaceChildren(el("span", {}, words), icon("down"));
  }

  #build(item) {
    if (item.kind === "day") return el("div", { class: "day" }, el("span"));
    if (item.kind === "new") return el("div", { class: "new-line" }, el("span", {}, "New"));
    if (item.kind === "notice") return el("p", { class: "notice" });
    if (item.kind === "empty") return emptyState(item);
    if (item.kind === "earlier") return this.#buildEarlier();
    return this.#buildMessage(item.line);
  }

  #buildEarlier() {
    const fetch = () => this.actions.earlier(this.store.current);
    return el("p", { class: "earlier" }, el("button", { type: "button", class: "link", onclick: fetch }));
  }

  #buildMessage(line) {
    const bubble = el("div", { class: "bubble", dir: "auto" }, ...withLinks(line.text));
    if (onlyEmoji(line.text)) bubble.classList.add("large");
    return el("article", { class: "message" },
      avatar(line.from),
      el("header", { class: "by" }, el("bdi", { class: "author" }), el("span", { class: "tag", title: "Published by a program" }, "app"), el("time")),
      el("div", { class: "said" }, bubble, el("span", { class: "status" }), el("time", { class: "aside", "aria-hidden": "true" })),
      el("div", { class: "trouble", hidden: true }));
  }

  #update(node, item) {
    if (item.kind === "day") return setText(node.firstChild, item.text);
    if (item.kind === "notice") return setText(node, item.text);
    if (item.kind === "earlier") return setText(node.firstChild, item.text);
    if (item.kind !== "message") return;
    const { line, mine, first, last } = item;
    const program = line.from.id === "";
    node.className = `message ${mine ? "mine" : "theirs"}${first ? " first" : ""}${last ? " last" : ""} ${line.status}`;
    paint(node.querySelector(".avatar"), line.from);
    const author = node.querySelector(".author");
    setText(author, mine ? "You" : line.from.name);
    author.className = `author ${node.querySelector(".avatar").className.match(/hue-\d+/)?.[0] ?? ""}`;
    node.querySelector(".tag").hidden = !program;
    for (const time of node.querySelectorAll("time")) {
      setText(time, timeOf(line.at));
      time.dateTime = new Date(line.at).toISOString();
      time.title = momentOf(line.at);
    }
    if (mine) this.#updateStatus(node, line);
  }

  #updateStatus(node, line) {
    const status = node.querySelector(".status");
    if (status.dataset.is === line.status && node.dataset.reason === (line.reason ?? "")) return;
    status.dataset.is = line.status;
    node.dataset.reason = line.reason ?? "";
    const [drawing, words] = STATUS[line.status];
    status.title = words;
    status.replaceChildren(icon(drawing), el("span", { class: "hidden" }, words));
    const trouble = node.querySelector(".trouble");
    trouble.hidden = line.status !== "failed";
    if (trouble.hidden) return trouble.replaceChildren();
    trouble.replaceChildren(
      el("span", {}, `Not sent. ${line.reason}`),
      el("button", { type: "button", class: "link", onclick: () => this.actions.again(line) }, "Try again"),
      el("button", { type: "button", class: "link", onclick: () => this.actions.discard(line) }, "Delete"));
  }
}

function emptyState(item) {
  return el("div", { class: "empty" },
    el("p", { class: "empty-mark", "aria-hidden": "true" }, item.known ? "tacet" : ""),
    el("p", { class: "empty-title" }, item.known ? "Nothing has been said here yet" : "Opening the room"),
    el("p", { class: "quiet" }, item.known ? "The first note is yours." : ""));
}

// itemsOf makes the list that is drawn: lines with days between them, notices of a kind joined, and messages in groups.
function itemsOf(room, store) {
  const items = [];
  let day = "";
  let before = null; // the message just above, if nothing is between
  for (const line of room.lines) {
    const own = dayKey(line.at);
    if (own !== day) {
      items.push({ kind: "day", key: `d${own}`, text: dayName(line.at) });
      day = own;
      before = null;
    }
    if (line.kind === "notice") {
      addNotice(items, line);
      before = null;
      continue;
    }
    if (room.newFrom && line.key === room.newFrom) {
      items.push({ kind: "new", key: "new" });
      before = null;
    }
    const follows = before && sameAuthor(before.line, line) && line.at - before.line.at < GROUP_WITHIN;
    if (follows) before.last = false;
    before = { kind: "message", key: line.key, line, mine: store.isMine(line), first: !follows, last: true };
    items.push(before);
  }
  if (!items.some((item) => item.kind === "message")) {
    items.unshift({ kind: "empty", key: room.known ? "empty" : "opening", known: room.known });
  }
  if (room.more) items.unshift({ kind: "earlier", key: "earlier", text: room.loading ? "Fetching earlier messages…" : "Earlier messages" });
  return items;
}

const sameAuthor = (a, b) => a.from.id === b.from.id && (a.from.id !== "" || a.from.name === b.from.name);

function addNotice(items, line) {
  const last = items[items.length - 1];
  if (last?.kind === "notice" && last.what === line.what && line.what !== "renamed") {
    last.names.push(...line.names);
    last.text = `${together(last.names)} ${line.what}`;
    return;
  }
  const names = [...line.names];
  const text = line.what === "renamed" ? `${line.before} is now ${names[0]}` : `${names[0]} ${line.what}`;
  items.push({ kind: "notice", key: line.key, what: line.what, names, text });
}
