// The standard verbs of Tutti, as types for the stock Socket.IO client:
//
//     import { io, type Socket } from "socket.io-client";
//     import type { VerbEvents, HeardEvents } from "./verbs";
//
//     interface Said { msg: (data: { text: string }, offset?: Offset) => void }
//     const socket: Socket<HeardEvents & Said, VerbEvents> = io();
//
//     const { offset } = ok(await socket.emitWithAck("join", { room: "chat:tea" }));
//
// where ok is one line of your own: throw if "error" is in the answer.

/** A message's place in the order of its namespace. Opaque: compare it for equality only, and give it back. */
export type Offset = string;

/** What may be published: JSON, with binary data anywhere inside. */
export type Data = null | boolean | number | string | ArrayBuffer | Uint8Array | Data[] | { [name: string]: Data };

/** What a member says about itself: a JSON object without binary data, 1,024 bytes at most by default. */
export type State = { [name: string]: unknown };

/** Why a verb was refused. */
export interface Refusal {
  /** For people. */
  error: string;
  /** For programs. */
  code: Code;
  /** After "too_many_requests": when to come again, in milliseconds. */
  retry?: number;
  /** After "bad_data": where, as a JSON pointer; "" or missing is all of it. */
  at?: string;
}

export type Code =
  | "bad_request" // something is missing or of the wrong kind
  | "bad_room" // a room cannot have that name
  | "bad_event" // an event must not have that name in this room
  | "bad_offset" // not of this history, or a page that is none: read from the beginning
  | "bad_state" // not an object, or too large
  | "bad_data" // not as the schema of its event wants it: `at` says where
  | "too_large" // data, event or id
  | "too_many_rooms"
  | "too_many_requests" // again, after a while
  | "forbidden" // the rules do not allow it
  | "not_member" // only members of the room may
  | "no_history" // the room keeps none
  | "unavailable" // the server cannot now; a message may have been published: again later, with the same id
  | "unknown" // likewise: again, with the same id
  | "internal";

export interface Receipt {
  /** Of the published message. After a join: everything after it is heard. Missing from a join in a namespace without memory. */
  offset?: Offset;
  /** The message was published before, with the same id; nobody has heard it again. */
  repeated?: true;
}

export interface Publication {
  room: string;
  event: string;
  /** The event's one argument; without it there is none. */
  data?: Data;
  /** To try again without publishing twice: any string of 256 bytes at most that nobody else chooses, crypto.randomUUID() say. */
  id?: string;
}

export interface PageRequest {
  room: string;
  /** The last messages before this one. Not together with after. */
  before?: Offset;
  /** The first messages after this one. */
  after?: Offset;
  /** At most so many; 50 if it is missing. A page may have fewer, which says nothing: look at more. */
  limit?: number;
}

export interface Page {
  /** The life of the tape. If it is another than before, throw away what you have: its offsets mean nothing any more. */
  epoch: string;
  /** Oldest first. */
  messages: Message[];
  /** The history goes on in the direction that was asked for. */
  more: boolean;
}

export interface Message {
  offset: Offset;
  event: string;
  /** The event's argument, if it has exactly one. */
  data?: any;
  /** Else its arguments. */
  args?: any[];
  /** When it was published, in milliseconds since 1970. */
  time: number;
  /** What its publisher called it. */
  id?: string;
}

export interface PresenceRequest {
  room: string;
  /** The next of the page before; missing: the first page. */
  after?: string;
  limit?: number;
  /** Asking for the first page also asks to be told of differences from then on, unless this is false, which ends it. */
  watch?: boolean;
}

export interface Attendance {
  version: number;
  /** How many are present. */
  count: number;
  /** They, or a page of them, in the order in which they came. */
  members: Member[];
  /** The after of the next page, if there is one. */
  next?: string;
  /** Not every node has told yet who is there: differences tell of the rest. */
  partial?: true;
  /** The id by which the members know you. */
  you?: string;
}

export interface Member {
  id: string;
  state?: State;
}

/** What changed in a room since the version before. */
export interface Difference {
  room: string;
  /** One more than that of the difference before. If it is not, or if something was missed, ask for the presence anew. */
  version: number;
  missed?: true;
  count: number;
  joined?: Member[];
  changed?: Member[];
  left?: string[];
}

/** What the client says. */
export interface VerbEvents {
  join: (request: { room: string }, answer: (answer: Receipt | Refusal) => void) => void;
  leave: (request: { room: string }, answer: (answer: {} | Refusal) => void) => void;
  publish: (request: Publication, answer: (answer: Receipt | Refusal) => void) => void;
  history: (request: PageRequest, answer: (answer: Page | Refusal) => void) => void;
  presence: (request: PresenceRequest, answer: (answer: Attendance | Refusal) => void) => void;
  state: (request: { room: string; state: State | null }, answer: (answer: {} | Refusal) => void) => void;
  /** Shows another token of the same user, where the server asks for one. removed are rooms that you may not be in any more. */
  auth: (request: { token: string }, answer: (answer: Renewed | AuthNotice) => void) => void;
}

/** What the client hears besides the events that are published. */
export interface HeardEvents {
  presence: (difference: Difference) => void;
  /** What became of your token. With grace, show another in that many milliseconds; without, you are about to be disconnected. */
  auth: (notice: AuthNotice) => void;
  /** You were away for too long: what you missed may be in the histories of your rooms before that offset. */
  unrecovered: (where: { before: Offset }) => void;
}

export interface Renewed {
  /** In milliseconds since 1970. */
  expires?: number;
  removed?: string[];
  /** Rooms that you watched, and whose presence you may not see any more. */
  unwatched?: string[];
}

export interface AuthNotice {
  code: "token_expired" | "token_revoked" | "invalid_token" | "wrong_user" | "unavailable" | "disconnected" | "rooms_removed" | "presence_removed";
  error: string;
  grace?: number;
  /** Of rooms_removed: where you were, and may not be. Of presence_removed: whose presence you watched, and may not see. */
  rooms?: string[];
}
