// Package packet reads and writes Socket.IO packets: the JSON form with its
// binary attachments, and the MessagePack form.
package packet
