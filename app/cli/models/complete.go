package models

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/scoring"
)

// completionTime bounds the wait for a server while somebody types.
const completionTime = time.Second

// completer lists what can stand at a place of the command line, each with a tab and some
// words after it, given the arguments before it.
type completer func(ctx context.Context, c *client.Client, args []string) ([]string, error)

// arguments completes arguments: one completer for each, and the last one for all after it
// if it is [versionWeights]. A server that does not answer is no reason to say anything.
func (s *settings) arguments(places ...completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		repeats := strings.HasPrefix(cmd.Use, "traffic ")
		if len(args) >= len(places) && !repeats {
			return nil, none
		}
		c, err := client.New(client.Options{Server: s.server, Token: s.secret(), Agent: s.agent(), Timeout: completionTime})
		if err != nil {
			return nil, none
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		all, err := places[min(len(args), len(places)-1)](ctx, c, args)
		if err != nil {
			return nil, none
		}
		if repeats && len(args) > 0 {
			return command.Begin(all, prefix), none | cobra.ShellCompDirectiveNoSpace
		}
		return command.Begin(all, prefix), none
	}
}

// models lists the models.
func models(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	models, _, err := c.Models(ctx)
	var all []string
	for _, m := range models {
		words := "not managed"
		if m.Managed() {
			words = stateText(&m.State)
		}
		all = append(all, client.Clean(m.Name)+"\t"+client.Clean(words))
	}
	slices.Sort(all)
	return all, err
}

// versions lists the versions of the model that was named first, the newest first.
func versions(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	m, _, err := c.Model(ctx, args[0])
	if err != nil {
		return nil, err
	}
	labels := labelsOf(m)
	var all []string
	numbers := versionsOf(m)
	for _, number := range slices.Backward(numbers) {
		words := append([]string{}, labels[number]...)
		if standing := m.Standing[number]; standing != "" {
			words = append(words, strings.ReplaceAll(string(standing), "_", " "))
		}
		if when := ago(m.Versions[number].RegisteredAt, time.Now()); when != "" {
			words = append(words, "registered "+when)
		}
		all = append(all, fmt.Sprintf("%d\t%s", number, client.Clean(strings.Join(words, ", "))))
	}
	return all, nil
}

// versionWeights lists the versions that have no weight yet, as "2=".
func versionWeights(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	numbers, err := versions(ctx, c, args)
	var all []string
	for _, line := range numbers {
		number, words, _ := strings.Cut(line, "\t")
		given := func(arg string) bool { return strings.HasPrefix(arg, number+"=") }
		if !slices.ContainsFunc(args[1:], given) {
			all = append(all, number+"=\t"+words)
		}
	}
	return all, err
}

// labels lists the labels of the model that was named first, and those that everybody uses.
func labels(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	m, _, err := c.Model(ctx, args[0])
	if err != nil {
		return nil, err
	}
	named := map[string]int64{scoring.LabelLive: 0, catalog.LabelCanary: 0}
	maps.Copy(named, m.Labels)
	var all []string
	for _, label := range sortedKeys(named) {
		words := "new"
		if named[label] != 0 {
			words = fmt.Sprintf("version %d", named[label])
		}
		all = append(all, client.Clean(label)+"\t"+words)
	}
	return all, nil
}
