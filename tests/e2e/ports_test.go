package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// ports hands out ports below those that the system gives to outgoing connections, so
// that a port stays free while its owner is down for a restart.
var ports = struct {
	sync.Mutex
	next int
}{next: 12_000 + rand.IntN(16_000)}

// freePort gives a port that nobody listens on, and gives it once.
func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		port := ports.next
		if ports.next++; ports.next >= 30_000 {
			ports.next = 12_000
		}
		// On all addresses, as the Dapr command wants it.
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("there is no free port")
	return 0
}

// local is an address on loopback.
func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
