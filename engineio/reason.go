package engineio

// Reason says why a session ended. The texts are those of Socket.IO, where applications compare them.
// Stock clients try to come back after all of them.
type Reason string

const (
	// ReasonTransportError: the peer broke the protocol, or reading from or writing to it failed.
	ReasonTransportError Reason = "transport error"
	// ReasonTransportClose: the peer closed the connection or sent a close packet.
	ReasonTransportClose Reason = "transport close"
	// ReasonForcedClose: this side closed the session without a more precise reason.
	ReasonForcedClose Reason = "forced close"
	// ReasonPingTimeout: the peer did not answer a ping in time, or (revision 3) sent none.
	ReasonPingTimeout Reason = "ping timeout"
	// ReasonParseError: the peer sent something that is not a packet.
	ReasonParseError Reason = "parse error"
	// ReasonShutdown: [Server.Shutdown] was called.
	ReasonShutdown Reason = "server shutting down"
	// ReasonForcedServerClose: the layer above ended the session, or did not confirm it in time.
	ReasonForcedServerClose Reason = "forced server close"
)
