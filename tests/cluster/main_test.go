// Package cluster_test installs the chart into a real Kubernetes: an API server with its etcd and its controllers, the
// resource definitions of all that the chart may make, and Dapr's own control plane, whose injector adds the sidecar. There
// is no node, so pods are made and judged, and never run.
//
// Everything listens on 127.0.0.1, but for the ports of Dapr's control plane that it cannot bind to one address.
package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	// patience bounds the time in which nothing moves while something has to come about: no program of the cluster says
	// anything and the look at it gives the same. A machine that is busy is slow for longer than any fixed time.
	patience = 3 * time.Minute
	// longest bounds every wait, since programs that try in vain say so for ever.
	longest = 8 * time.Minute
	// pause is the time between two looks at it.
	pause = 100 * time.Millisecond
)

var (
	// root is the repository's folder.
	root string
	// bin holds the programs of the cluster, and beside it lie the resource definitions.
	bin string
	// kubeconfig is how kubectl and helm find the cluster.
	kubeconfig string
	// control is the cluster that all tests share.
	control cluster
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run starts the cluster, runs the tests and ends what it started.
func run(m *testing.M) (code int) {
	if bin = os.Getenv("ONDA_TEST_CLUSTER_BIN"); bin == "" {
		fmt.Println("not run: make cluster builds a Kubernetes, which takes minutes, and runs these tests")
		return 0
	}
	if err := places(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "onda-cluster-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 12*time.Minute)
	defer cancel()
	c := &control
	c.dir = dir
	defer c.stop()
	if err := c.start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// places finds the repository and the programs, or says how to get them.
func places() error {
	var err error
	if root, err = filepath.Abs("../.."); err != nil {
		return err
	}
	var missing []error
	for _, path := range []string{
		program("etcd"), program("kube-apiserver"), program("kube-controller-manager"), program("kubectl"),
		program("injector"), program("sentry"), definitions(), helm(),
	} {
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, fmt.Errorf("%s is missing", path))
		}
	}
	if missing != nil {
		return errors.Join(append(missing, errors.New("run deploy/local/setup.sh cluster, or set ONDA_TEST_CLUSTER_BIN to where it put them"))...)
	}
	return nil
}

func program(name string) string { return filepath.Join(bin, name) }
func definitions() string        { return filepath.Join(filepath.Dir(bin), "crds") }
func helm() string               { return filepath.Join(root, ".local/tools/bin/helm") }
func chart() string              { return filepath.Join(root, "deploy/chart") }
