package engineio

type wsFrame struct{}
