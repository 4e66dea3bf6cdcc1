package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"gatehouse/internal/app"
)

// supervisor is who started the process, where it wants to hear how it goes: systemd, for a unit of Type=notify or
// notify-reload (sd_notify(3)). Without NOTIFY_SOCKET in the environment nothing is sent.
type supervisor struct {
	log *slog.Logger
}

// ready says that requests are served, also again after a reload, with a line for `systemctl status`.
func (s supervisor) ready(a *app.App, refused error) {
	hash := a.Config().Hash
	status := "serving config " + hash[:min(len(hash), 12)]
	if refused != nil {
		status = fmt.Sprintf("reload refused at %s, still %s: see the log, or gatehouse check", time.Now().UTC().Format(time.TimeOnly+"Z"), status)
	}
	s.tell(daemon.SdNotifyReady + "\nSTATUS=" + status)
}

// reloading says that a reload has begun. The time tells systemd which of its signals this answers.
func (s supervisor) reloading() {
	s.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec() + "STATUS=reloading")
}

// stopping says that the drain has begun, so that no dependency waits for readiness.
func (s supervisor) stopping() {
	s.tell(daemon.SdNotifyStopping + "\nSTATUS=draining")
}

// tell sends one message. A supervisor that does not listen stops nothing.
func (s supervisor) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("the supervisor behind NOTIFY_SOCKET can't be told", "error", err.Error())
	}
}
