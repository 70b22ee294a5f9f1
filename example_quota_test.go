package tutti_test

import (
	"context"
	"fmt"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/quota"
)

func Example_quota() {
	q := quota.New(quota.Default())
	srv, err := tutti.New(tutti.Config{Engine: engineio.Config{Quota: q}})
	if err != nil {
		panic(err)
	}
	defer srv.Shutdown(context.Background())
	fmt.Println(q.Waiting(), "bytes wait")
	// Output: 0 bytes wait
}
