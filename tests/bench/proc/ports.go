package proc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Port gives a port on loopback that nobody listens on, below those that the system
// gives to outgoing connections.
func Port() (int, error) {
	for range 100 {
		port := 12_000 + rand.IntN(18_000) //nolint:gosec // any port will do
		listener, err := net.Listen("tcp", Local(port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return 0, err
		}
		return port, nil
	}
	return 0, errors.New("there is no free port")
}

// Local is an address on loopback.
func Local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
