package deployment

import "kedge/proto"

// A Specialisation is a variant of a system that is part of it: a system of its
// own, below a name. The zero value is none, which is the system itself, the base
// of its specialisations.
//
// Profile, boot default and what is proven are always the base: of it all others
// are had. What is activated and judged, and what runs, is the specialisation.
type Specialisation struct {
	Name   string          `json:"name"`
	System proto.StorePath `json:"system"`
}

// Of returns the system that s is of base: base itself if s is none.
func (s Specialisation) Of(base proto.StorePath) proto.StorePath {
	if s.System.IsZero() {
		return base
	}
	return s.System
}

// System returns the system that d makes run: Toplevel, or its Specialisation.
func (d Deployment) System() proto.StorePath { return d.Specialisation.Of(d.Toplevel) }

// BackTo returns the system that d makes run if it goes back: Proven, or what of
// it is Back.
func (d Deployment) BackTo() proto.StorePath { return d.Back.Of(d.Proven.Toplevel) }

// System returns the system that was judged when p was proven.
func (p Proven) System() proto.StorePath { return p.Specialisation.Of(p.Toplevel) }

// Respecialises reports whether d only makes another specialisation of the proven
// system run.
func (d Deployment) Respecialises() bool { return d.Toplevel == d.Proven.Toplevel }
