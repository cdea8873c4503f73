package cluster_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cluster is a control plane in a folder of its own.
type cluster struct {
	dir       string
	processes []*process
}

// process is a program that runs; ended is closed when it does not any more.
type process struct {
	*exec.Cmd

	name  string
	ended chan struct{}
}

// start brings up Kubernetes, then Dapr on it.
func (c *cluster) start(ctx context.Context) error {
	if err := c.startKubernetes(ctx); err != nil {
		return err
	}
	if _, err := kubectl(ctx, "", "apply", "--server-side", "-f", definitions()); err != nil {
		return err
	}
	if _, err := kubectl(ctx, "", "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"); err != nil {
		return err
	}
	if _, err := kubectl(ctx, classes, "apply", "-f", "-"); err != nil {
		return err
	}
	return c.startDapr(ctx)
}

// classes are what profiles name and a cluster's owner makes.
const classes = `
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: scoring}, value: 1000}
---
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: nvidia}, handler: nvidia}
`

func (c *cluster) startKubernetes(ctx context.Context) error {
	store, peers, api, manager := freePort(), freePort(), freePort(), freePort()
	key, tokens := filepath.Join(c.dir, "accounts.key"), filepath.Join(c.dir, "tokens.csv")
	token := rand.Text()
	if err := errors.Join(
		writeKey(key),
		os.WriteFile(tokens, []byte(token+",admin,admin,system:masters\n"), 0o600),
	); err != nil {
		return err
	}
	if err := c.run("etcd", nil, "--data-dir", filepath.Join(c.dir, "etcd"), "--listen-client-urls", url("http", store),
		"--advertise-client-urls", url("http", store), "--listen-peer-urls", url("http", peers),
		"--initial-advertise-peer-urls", url("http", peers), "--initial-cluster", "default="+url("http", peers),
		"--unsafe-no-fsync"); err != nil {
		return err
	}
	certs := filepath.Join(c.dir, "api")
	// Nobody asks this server through a Service, so it need not announce an address: 127.0.0.1 would be refused as one.
	if err := c.run("kube-apiserver", nil, "--etcd-servers", url("http", store), "--bind-address", "127.0.0.1",
		"--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none", "--secure-port", strconv.Itoa(api), "--cert-dir", certs, "--token-auth-file", tokens,
		"--authorization-mode", "RBAC", "--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", key, "--service-account-signing-key-file", key,
		"--service-cluster-ip-range", "10.96.0.0/16", "--allow-privileged"); err != nil {
		return err
	}
	kubeconfig = filepath.Join(c.dir, "kubeconfig")
	authority := filepath.Join(certs, "apiserver.crt")
	if err := os.WriteFile(kubeconfig, fmt.Appendf(nil, kubeconfigText, authority, url("https", api), token), 0o600); err != nil {
		return err
	}
	if err := await(ctx, func() error { _, err := kubectl(ctx, "", "get", "--raw", "/readyz"); return err }); err != nil {
		return err
	}
	return c.run("kube-controller-manager", nil, "--kubeconfig", kubeconfig, "--bind-address", "127.0.0.1",
		"--secure-port", strconv.Itoa(manager), "--cert-dir", filepath.Join(c.dir, "manager"), "--leader-elect=false",
		"--service-account-private-key-file", key, "--root-ca-file", authority, "--use-service-account-credentials")
}

const kubeconfigText = `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {certificate-authority: %q, server: %q}}]
users: [{name: admin, user: {token: %q}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`

// run starts a program of the cluster; what it says goes to a file of its name.
func (c *cluster) run(name string, env []string, args ...string) error {
	log, err := os.Create(c.log(name))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program(name), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, log, log
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{cmd, name, make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait()
	}()
	c.processes = append(c.processes, p)
	return nil
}

// dead names a program that ended by itself, with the end of what it said.
func (c *cluster) dead() error {
	for _, p := range c.processes {
		select {
		case <-p.ended:
			said, _ := os.ReadFile(c.log(p.name))
			return fmt.Errorf("%s ended by itself (%v): %s", p.name, p.ProcessState, said[max(0, len(said)-2000):])
		default:
		}
	}
	return nil
}

// said is how much the programs have written, in bytes: what grows is at work.
func (c *cluster) said() (total int64) {
	for _, p := range c.processes {
		if info, err := os.Stat(c.log(p.name)); err == nil {
			total += info.Size()
		}
	}
	return total
}

func (c *cluster) log(name string) string { return filepath.Join(c.dir, name+".log") }

// stop ends the processes, the last one first, so that none loses what it depends on.
func (c *cluster) stop() {
	for _, p := range slices.Backward(c.processes) {
		_ = p.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(5*time.Second, func() { _ = p.Process.Kill() })
		<-p.ended
		late.Stop()
	}
	if keep := os.Getenv("ONDA_TEST_CLUSTER_LOGS"); keep != "" {
		logs, _ := filepath.Glob(filepath.Join(c.dir, "*.log"))
		for _, log := range logs {
			if text, err := os.ReadFile(log); err == nil {
				_ = os.WriteFile(filepath.Join(keep, filepath.Base(log)), text, 0o600)
			}
		}
	}
}

// kubectl runs kubectl with input and gives what it wrote.
func kubectl(ctx context.Context, input string, args ...string) (string, error) {
	return command(ctx, input, program("kubectl"), args...)
}

// command runs a program against the cluster; its error has what the program complained of.
func command(ctx context.Context, input, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.Stdin = strings.NewReader(input)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(path), strings.Join(args, " "), err, problems.String())
	}
	return out.String(), nil
}

// await looks until there is no error. It gives up with the last one when a program of the cluster has ended, when nothing
// moved for patience, or after longest.
func await(ctx context.Context, look func() error) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	began := time.Now()
	moved, said, last := began, control.said(), ""
	for {
		err := look()
		if err == nil {
			return nil
		}
		if dead := control.dead(); dead != nil {
			return errors.Join(dead, err)
		}
		if now := control.said(); now != said || err.Error() != last {
			moved, said, last = time.Now(), now, err.Error()
		}
		if time.Since(moved) > patience {
			return fmt.Errorf("nothing moved for %s: %w", patience, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s: %w", time.Since(began).Round(time.Second), err)
		case <-time.After(pause):
		}
	}
}

func url(scheme string, port int) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port) }

// freePort is a port that nothing listens on.
func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// writeKey makes the key that signs the tokens of service accounts.
func writeKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}
