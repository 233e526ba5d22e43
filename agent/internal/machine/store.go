package machine

import (
	"fmt"
	"time"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

// A Store is the durable memory of a transaction on this host.
type Store struct {
	Files statefile.Dir
	Roots closure.Roots
}

var _ transaction.Store = Store{}

// Save implements [transaction.Store].
func (s Store) Save(d deployment.Deployment) error { return s.Files.Save(d) }

// Hold implements [transaction.Store].
func (s Store) Hold(toplevel proto.StorePath) error {
	if err := s.Roots.Current(toplevel); err != nil {
		return fmt.Errorf("keep %s from being collected: %w", toplevel, err)
	}
	return nil
}

// Prove implements [transaction.Store]. The root comes first: at no instant is
// the system that the document names without one. Until the document follows,
// the system before it is kept by its generation of the profile.
func (s Store) Prove(p deployment.Proven) error {
	if err := s.Roots.Prove(p.Toplevel); err != nil {
		return fmt.Errorf("keep %s from being collected: %w", p.Toplevel, err)
	}
	return s.Files.SaveProven(p)
}

// Guard implements [transaction.Store]. The root comes first.
func (s Store) Guard(agent string) error {
	if err := s.Roots.Agent(agent); err != nil {
		return fmt.Errorf("keep %s from being collected: %w", agent, err)
	}
	return s.Files.SetTrial(agent)
}

// Unguard implements [transaction.Store].
func (s Store) Unguard() error { return s.Files.RemoveTrial() }

// Quarantine implements [transaction.Store].
func (s Store) Quarantine(toplevel proto.StorePath, why proto.Reason, now time.Time) error {
	return s.Files.Quarantine(toplevel, why, now)
}
