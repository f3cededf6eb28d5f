// Command prometheus reads a file of rules as Prometheus does, from its standard
// input, and prints the metrics that the rules are about.
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	// The CRDs are elsewhere in its module, which this keeps in go.mod.
	_ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	metrics, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, metric := range metrics {
		fmt.Println(metric)
	}
}

func read(rules io.Reader) (metrics []string, err error) {
	text, err := io.ReadAll(rules)
	if err != nil {
		return nil, err
	}
	promql := parser.NewParser(parser.Options{})
	file, errs := rulefmt.Parse(text, false, model.LegacyValidation, promql, slog.Default())
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			expr, err := promql.ParseExpr(rule.Expr)
			if err != nil {
				return nil, err
			}
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				if selector, ok := node.(*parser.VectorSelector); ok {
					metrics = append(metrics, selector.Name)
				}
				return nil
			})
		}
	}
	return metrics, nil
}
