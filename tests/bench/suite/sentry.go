package suite

import (
	"context"
	"os"
	"path/filepath"

	"github.com/onda-serving/onda/tests/bench/proc"
)

// startSentry starts Dapr's certificate authority with certificates that it makes for
// itself. trust is what sidecars need: its address, and variables of the environment.
func (b *Bench) startSentry(ctx context.Context) (p *proc.Process, trust []string, err error) {
	dir := filepath.Join(b.local, "tmp", "sentry")
	if err := os.RemoveAll(dir); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	var ports [3]int
	for i := range ports {
		if ports[i], err = proc.Port(); err != nil {
			return nil, nil, err
		}
	}
	config := filepath.Join(dir, "config.yaml")
	text := "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: daprsystem}\nspec: {mtls: {enabled: true}}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	address := proc.Local(ports[0])
	p, err = proc.Start(proc.Command{Name: "sentry", Dir: dir, Logs: b.logs(), Args: []string{
		b.sentry, "--mode", "standalone", "--issuer-credentials", dir, "--trust-domain", "localhost", "--config", config,
		"--listen-address", "127.0.0.1", "--port", itoa(ports[0]), "--healthz-listen-address", "127.0.0.1", "--healthz-port", itoa(ports[1]),
		"--metrics-listen-address", "127.0.0.1", "--metrics-port", itoa(ports[2]), "--log-level", "warn",
	}})
	if err != nil {
		return nil, nil, err
	}
	if _, err := p.Ready(ctx, readyWithin, proc.Get("http://"+proc.Local(ports[1])+"/healthz")); err != nil {
		p.Stop()
		return nil, nil, err
	}
	anchors, err := os.ReadFile(filepath.Join(dir, "ca.crt")) //nolint:gosec // the bench names its files
	if err != nil {
		p.Stop()
		return nil, nil, err
	}
	return p, []string{address, "NAMESPACE=default", "DAPR_TRUST_ANCHORS=" + string(anchors)}, nil
}
