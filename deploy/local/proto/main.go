// Command proto makes Go code of .proto files: it compiles them in this process and hands
// the result to code generators, as protoc does. A compiler that is a Go module can be
// pinned by go.mod like every other tool here, and works wherever Go does.
//
//	proto -I DIR [-I ...] -out DIR -plugin 'PROGRAM OPTIONS' [-plugin ...] FILE...
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	out := flag.String("out", ".", "folder to write to")
	roots := repeated("I", "folder that the names of files and of what they import are relative to; may be repeated")
	plugins := repeated("plugin", "code generator and its options, separated by a space; may be repeated")
	flag.Parse()
	if err := run(context.Background(), *roots, *out, *plugins, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "proto:", err)
		os.Exit(1)
	}
}

// repeated defines a flag that may be given more than once.
func repeated(name, usage string) *[]string {
	var values []string
	flag.Func(name, usage, func(s string) error {
		values = append(values, s)
		return nil
	})
	return &values
}

func run(ctx context.Context, roots []string, out string, plugins, files []string) error {
	if len(roots) == 0 || len(plugins) == 0 || len(files) == 0 {
		return errors.New("want at least one -I, one -plugin and one file")
	}
	set, err := compile(ctx, roots, files)
	if err != nil {
		return err
	}
	for _, plugin := range plugins {
		program, options, _ := strings.Cut(plugin, " ")
		if err := generate(ctx, program, out, &pluginpb.CodeGeneratorRequest{
			FileToGenerate: files, Parameter: new(options), ProtoFile: set,
		}); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(program), err)
		}
	}
	return nil
}

// compile gives the descriptors of files and of what they import, imports first. Source
// information is kept, because it is where generators find the comments.
func compile(ctx context.Context, roots, files []string) ([]*descriptorpb.FileDescriptorProto, error) {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: roots}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(ctx, files...)
	if err != nil {
		return nil, err
	}
	var set []*descriptorpb.FileDescriptorProto
	seen := map[string]bool{}
	for _, file := range compiled {
		set = add(set, seen, file)
	}
	return set, nil
}

func add(set []*descriptorpb.FileDescriptorProto, seen map[string]bool, file protoreflect.FileDescriptor) []*descriptorpb.FileDescriptorProto {
	if seen[file.Path()] {
		return set
	}
	seen[file.Path()] = true
	imports := file.Imports()
	for i := range imports.Len() {
		set = add(set, seen, imports.Get(i).FileDescriptor)
	}
	return append(set, protodesc.ToFileDescriptorProto(file))
}

// generate runs one code generator and writes the files that it makes.
func generate(ctx context.Context, program, out string, request *pluginpb.CodeGeneratorRequest) error {
	stdin, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, program)
	command.Stdin = bytes.NewReader(stdin)
	command.Stderr = os.Stderr
	stdout, err := command.Output()
	if err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(stdout, &response); err != nil {
		return fmt.Errorf("read the generator's answer: %w", err)
	}
	if response.Error != nil {
		return errors.New(response.GetError())
	}
	for _, file := range response.GetFile() {
		if err := os.WriteFile(filepath.Join(out, file.GetName()), []byte(file.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
