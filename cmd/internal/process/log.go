package process

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Log says how a process logs.
type Log struct {
	level, format string
}

// NewLog returns what holds unless flags say otherwise.
func NewLog() Log { return Log{level: "info", format: "text"} }

// AddTo adds its flags.
func (l *Log) AddTo(f *pflag.FlagSet) {
	f.StringVar(&l.level, "log-level", l.level, "debug, info, warn or error")
	f.StringVar(&l.format, "log-format", l.format, "text or json")
}

// Start has everything in the process log as l says.
func (l *Log) Start() (logr.Logger, error) {
	log, err := l.logger()
	if err != nil {
		return logr.Logger{}, Usage(err)
	}
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	return log, nil
}

func (l *Log) logger() (logr.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return logr.Logger{}, fmt.Errorf("--log-level: %q; allowed are debug, info, warn and error", l.level)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch l.format {
	case "text":
		return logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, opts)), nil
	case "json":
		return logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, opts)), nil
	}
	return logr.Logger{}, fmt.Errorf("--log-format: %q; allowed are text and json", l.format)
}
