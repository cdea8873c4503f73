package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

//go:embed pillow.py
var pillowScript string

// pillow is a running pillow.py.
type pillow struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func startPillow(python string) (*pillow, error) {
	p := &pillow{command: exec.Command(python, "-c", pillowScript)} //nolint:gosec,noctx // the caller's own Python; ends with its input
	p.command.Stderr = os.Stderr
	in, err := p.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start Python: %w", err)
	}
	return p, nil
}

// ask sends a command and reads the answer.
func (p *pillow) ask(command map[string]any, answer any) error {
	line, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask Pillow: %w", err)
	}
	reply, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("ask Pillow: %w", err)
	}
	return json.Unmarshal(reply, answer)
}

func (p *pillow) stop() {
	p.in.Close()
	_ = p.command.Wait()
}
