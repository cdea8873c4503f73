// Package blobstest gives tests a storage to talk to: Azurite, Microsoft's emulator of Azure
// Blob Storage.
package blobstest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// Variable names the environment variable with the path of the program azurite-blob.
const Variable = "ONDA_TEST_AZURITE"

// Account and Key are the same in every Azurite, and documented.
const (
	Account = "devstoreaccount1"
	Key     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// patience bounds how long Azurite may take to start.
const patience = time.Minute

// Azurite is a running emulator.
type Azurite struct {
	// Address is its host and port.
	Address string

	cmd    *exec.Cmd
	stdin  io.Closer
	silent sync.WaitGroup // until its output ends
	folder string
}

// shared is the one of this process.
var shared struct {
	sync.Mutex
	azurite *Azurite
	err     error
}

// Shared gives the Azurite of this process, and starts it where it is the first to ask. It
// also sets the process's account and key. Without the program the test fails under CI, where
// the variable CI is set, and is skipped elsewhere. The package's TestMain has to call [Stop].
func Shared(tb testing.TB) *Azurite {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	program := os.Getenv(Variable) //nolint:forbidigo // the Makefile says so where things are
	if program == "" {
		text := "Azurite is not there: make unit and make test fetch it and set " + Variable + " to its program azurite-blob"
		if os.Getenv("CI") != "" { //nolint:forbidigo // CI services set this for everything that they run
			tb.Fatal(text)
		}
		tb.Skip(text)
	}
	if shared.azurite == nil && shared.err == nil {
		shared.azurite, shared.err = start(program)
	}
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.azurite
}

// Stop ends the Azurite of this process, if there is one.
func Stop() {
	shared.Lock()
	defer shared.Unlock()
	if shared.azurite != nil {
		shared.azurite.stop()
		shared.azurite = nil
	}
}

// Env gives the variables that a process needs to be let in.
func Env() []string {
	return []string{"AZURE_STORAGE_ACCOUNT=" + Account, "AZURE_STORAGE_KEY=" + Key}
}

// watch runs a program that ends with its standard input, also where these tests are killed.
const watch = `"$@" & trap "kill $!" EXIT; exec >&-; read -r _`

// start starts the program on a free port, with a folder of its own.
func start(program string) (*Azurite, error) {
	for _, variable := range Env() {
		name, value, _ := strings.Cut(variable, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	folder, err := os.MkdirTemp("", "azurite-")
	if err != nil {
		return nil, err
	}
	// The libraries of Azure may speak a newer version of the protocol than it knows.
	cmd := exec.Command("sh", //nolint:gosec,noctx // a program that whoever runs the tests names; it outlives the test that starts it
		"-c", watch, "sh", program, "--blobHost", "127.0.0.1", "--blobPort", "0",
		"--location", folder, "--silent", "--skipApiVersionCheck", "--disableTelemetry")
	a := &Azurite{cmd: cmd, folder: folder}
	if err := a.run(); err != nil {
		a.stop()
		return nil, fmt.Errorf("start Azurite (%s): %w", filepath.Base(program), err)
	}
	return a, nil
}

// run starts the command, and waits until it says where it listens.
func (a *Azurite) run() error {
	stdin, err := a.cmd.StdinPipe()
	if err != nil {
		return err
	}
	a.stdin = stdin
	stdout, err := a.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := a.cmd.Start(); err != nil {
		return err
	}
	late := time.AfterFunc(patience, func() { stdin.Close() }) // which ends the output too
	defer late.Stop()
	var output strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if _, address, ok := strings.Cut(lines.Text(), "successfully listens on http://"); ok {
			a.Address = address
			a.silent.Go(func() { _, _ = io.Copy(io.Discard, stdout) })
			return nil
		}
		output.WriteString(lines.Text() + "\n")
	}
	return fmt.Errorf("it ended, or did not listen within %s, and said: %s", patience, output.String())
}

func (a *Azurite) stop() {
	if a.stdin != nil {
		a.stdin.Close()
	}
	a.silent.Wait()
	if a.cmd.Process != nil {
		_ = a.cmd.Wait() // it was ended by a signal
	}
	os.RemoveAll(a.folder)
}

// URL is that of a place in Azurite, such as "container/folder".
func (a *Azurite) URL(place string) string { return URL(a.Address, place) }

// URL is that of a place behind an address: of Azurite, or of what stands in front of it.
func URL(address, place string) string {
	return fmt.Sprintf("azblob://%s?domain=%s&protocol=http&storage_account=%s", place, address, Account)
}

// Container makes a container; it may be there already.
func (a *Azurite) Container(tb testing.TB, name string) {
	tb.Helper()
	key, err := container.NewSharedKeyCredential(Account, Key)
	if err != nil {
		tb.Fatal(err)
	}
	client, err := container.NewClientWithSharedKeyCredential(fmt.Sprintf("http://%s/%s/%s", a.Address, Account, name), key, nil)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
	defer cancel()
	if _, err := client.Create(ctx, nil); err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		tb.Fatal(errors.Join(errors.New("make a container in Azurite"), err))
	}
}
