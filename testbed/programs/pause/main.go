// Command pause is the sandbox of every pod on the local node: it waits until it is told to end.
// With PAUSE_LISTEN it is also a small web server, which answers every request with PAUSE_ANSWER,
// and a GET of /answered, which doesn't count, with how many that were.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

func main() {
	if address := os.Getenv("PAUSE_LISTEN"); address != "" {
		go serve(address, os.Getenv("PAUSE_ANSWER"))
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		reap()
	}
}

// reap collects the ended children that a pod with a shared process namespace leaves to us.
func reap() {
	for {
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
			return
		}
	}
}

func serve(address, answer string) {
	var answered atomic.Int64
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answered.Add(1)
		fmt.Fprint(w, answer)
	})
	http.HandleFunc("/answered", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, answered.Load())
	})
	if err := http.ListenAndServe(address, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
