package app

import (
	"strings"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/audit"
	"gatehouse/internal/config"
	"gatehouse/internal/token"
)

// openAudit opens the audit trail; nil where the configuration switches it off. It comes after the database in state.dir,
// which no two processes have open, so that a trail there has one writer.
func (a *App) openAudit(cfg *config.Config) (err error) {
	if !cfg.Audit.Enabled {
		return nil
	}
	a.audit, err = audit.Open(audit.Options{File: cfg.AuditFile(), MaxSize: cfg.Audit.MaxSize, Keep: cfg.Audit.Keep, Log: a.log})
	return err
}

// record keeps the line of an administrative act. An act is not undone where the line can't be written: that is logged,
// counted, and in `gatehouse_audit_failing`.
func (a *App) record(e audit.Event) {
	if err := a.audit.Admin(e); err != nil {
		a.log.Error("audit", "action", e.Action, "error", err.Error())
	}
}

// outcome is an act's, by the error that it ended with.
func outcome(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}

func (a *App) recordRotation(alg token.Algorithm, done adminapi.Rotation, q adminapi.RotateRequest, err error) {
	e := audit.Event{Action: "rotate keys", Actor: "api", Outcome: outcome(err), Reason: q.Reason, Detail: string(alg), Key: done.New}
	if q.Revoke {
		e.Action = "withdraw key"
	}
	if len(done.Withdrawn) > 0 {
		e.Detail += ", withdrew " + strings.Join(done.Withdrawn, ", ")
	}
	if err != nil {
		e.Detail += ": " + err.Error()
	}
	a.record(e)
}

func (a *App) recordReload(trigger, summary string, err error) {
	e := audit.Event{Action: "reload", Actor: trigger, Outcome: "ok", Detail: summary}
	if err != nil {
		e.Outcome = "refused"
		e.Detail, _, _ = strings.Cut(err.Error(), "\n")
	}
	a.record(e)
}
