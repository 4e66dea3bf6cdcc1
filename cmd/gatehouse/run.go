package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/logs"
)

func newRun() *cobra.Command {
	var watch, effective bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve: the token endpoint and the gateway (SIGHUP reloads, SIGTERM drains)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if effective {
				if err := printEffective(cmd); err != nil {
					return err
				}
			}
			out := logs.Open(cmd.ErrOrStderr(), "info", "json")
			defer out.Close()
			o := app.Options{Load: loader(configPath(cmd)), Version: version, Mode: "run", Log: out}
			if !watch {
				o.Watch = -1
			}
			err := serve(cmd.Context(), o, nil)
			if errors.Is(err, syscall.EADDRINUSE) {
				err = fmt.Errorf("%w\nif it is a gatehouse that runs already: gatehouse status; else choose another address", err)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", true, "reload when the content of a file changes")
	cmd.Flags().BoolVar(&effective, "print-effective", false, "print the configuration in effect first, with where each value comes from")
	return cmd
}

// printEffective prints what `config print --origin` does.
func printEffective(cmd *cobra.Command) error {
	cfg, err := loader(configPath(cmd))()
	if err != nil {
		return err
	}
	text, err := cfg.Effective(false).YAML(true)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

// serve runs an app until ctx is done. started, which may be nil, is called once both listeners are open.
func serve(ctx context.Context, o app.Options, started func(*app.App)) error {
	defer runtime.KeepAlive(heapFloor())
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // before New, which may take its time: unhandled, it ends the process
	defer signal.Stop(hup)
	var a *app.App
	s := supervisor{o.Log.Logger()}
	o.Reloaded = func(refused error) { s.ready(a, refused) } // those of the watch and of the admin API, too
	a, err := app.New(ctx, o)
	if err != nil {
		return err
	}
	defer a.Close()
	signals, stop := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		follow(signals, hup, a, s)
	}()
	defer func() { stop(); <-told }() // before Close, so that the supervisor hears of the end
	if started != nil {
		started(a)
	}
	return a.Run(ctx)
}

// follow reloads at each signal until ctx is done, and tells the supervisor of each step.
func follow(ctx context.Context, hup <-chan os.Signal, a *app.App, s supervisor) {
	s.ready(a, nil)
	for {
		select {
		case <-ctx.Done():
			s.stopping()
			return
		case <-hup:
			s.reloading()
			a.Reload("sighup") // tells its own result: log, metric, supervisor
		}
	}
}
