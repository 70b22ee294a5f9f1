package packet_test

import (
	"errors"
	"fmt"

	"github.com/tutti-rt/tutti/packet"
)

func ExampleMarshal() {
	type draft struct {
		Room string `json:"room"`
		File []byte `json:"file"`
	}
	args, err := packet.Marshal("hi <all>", draft{Room: "general", File: []byte("GIF")}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, arg := range args.All() {
		fmt.Printf("%d %s\n", i, arg.JSON())
	}
	// Output:
	// 0 "hi <all>"
	// 1 {"room":"general","file":{"_placeholder":true,"num":0}}
	// 2 null
}

func ExampleParseArgs() {
	args, err := packet.ParseArgs([]byte(`[ "hello", {"room": "general"} ]`))
	fmt.Println(args.Len(), string(args.AppendText(nil)), err)
	_, err = packet.ParseArgs([]byte(`["hello"`))
	fmt.Println(err)
	// Output:
	// 2 "hello",{"room":"general"} <nil>
	// packet: invalid JSON
}

func ExampleArgs_Scan() {
	args, _ := packet.Marshal("general", map[string]any{"text": "hi", "file": []byte("GIF")}, 3)
	var room string
	var message struct {
		Text string `json:"text"`
		File []byte `json:"file"`
	}
	err := args.Scan(&room, &message) // the third argument is left alone
	fmt.Printf("%s: %s, %s, %v\n", room, message.Text, message.File, err)

	err = args.Scan(nil, nil, nil, &room)
	fmt.Println(err, errors.Is(err, packet.ErrMissing))
	// Output:
	// general: hi, GIF, <nil>
	// argument 3: packet: argument missing true
}

func ExampleArgs_Append() {
	args, _ := packet.Marshal("hi")
	withOffset, _ := args.Append("1700-42")
	fmt.Println(string(args.AppendText(nil)))
	fmt.Println(string(withOffset.AppendText(nil)))
	// Output:
	// "hi"
	// "hi","1700-42"
}

func ExampleFormat_Encode() {
	args, _ := packet.Marshal("general", []byte("GIF"))
	p := &packet.Packet{Type: packet.Event, Namespace: "/chat", HasID: true, ID: 7, Event: "send", Args: args}
	for _, format := range []packet.Format{packet.JSON, packet.MessagePack} {
		frames, err := format.Encode(p)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, f := range frames {
			fmt.Printf("%v %q\n", format, f.Data)
		}
	}
	// Output:
	// json "51-/chat,7[\"send\",\"general\",{\"_placeholder\":true,\"num\":0}]"
	// json "GIF"
	// msgpack "\x84\xa4type\x02\xa3nsp\xa5/chat\xa4data\x93\xa4send\xa7general\xc4\x03GIF\xa2id\a"
}

func ExampleDecoder_Add() {
	d := packet.NewDecoder(packet.Limits{})
	for _, f := range []packet.Frame{
		{Data: []byte(`51-/chat,7["send","general",{"_placeholder":true,"num":0}]`)},
		{Data: []byte("GIF"), Binary: true},
		{Data: []byte(`2["disconnect"]`)},
	} {
		p, err := d.Add(f)
		switch {
		case err != nil:
			fmt.Println(err)
		case p == nil:
			fmt.Println("more frames needed:", d.Pending())
		default:
			fmt.Println(p.Type, p.Namespace, p.ID, p.Event, string(p.Args.AppendText(nil)))
		}
	}
	// Output:
	// more frames needed: true
	// EVENT /chat 7 send "general",{"$binary":"R0lG"}
	// packet: reserved event name
}
