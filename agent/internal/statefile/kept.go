package statefile

import (
	"kedge/agent/internal/deployment"
	"kedge/internal/durable"
	"kedge/proto"
)

// kept are the documents that are read most often.
type kept struct {
	record durable.Reader[deployment.Deployment]
	proven durable.Reader[deployment.Proven]
	floor  durable.Reader[proto.Floor]
}

// Kept returns d for one who reads again and again what seldom changes. Each time it
// finds what is in the files then, but it decodes the record, the proven system and
// the floor only when that is something else: see [durable.Reader]. What they refer
// to is for nobody to change.
func (d Dir) Kept() Dir {
	d.kept = &kept{
		record: durable.Reader[deployment.Deployment]{Document: document[deployment.Deployment](d, DeploymentFile)},
		proven: durable.Reader[deployment.Proven]{Document: document[deployment.Proven](d, provenFile)},
		floor:  durable.Reader[proto.Floor]{Document: document[proto.Floor](d, floorFile)},
	}
	return d
}

// A reader is a document, kept or not.
type reader[T any] interface{ Read() (T, error) }

func (d Dir) record() reader[deployment.Deployment] {
	if d.kept != nil {
		return &d.kept.record
	}
	return document[deployment.Deployment](d, DeploymentFile)
}

func (d Dir) proven() reader[deployment.Proven] {
	if d.kept != nil {
		return &d.kept.proven
	}
	return document[deployment.Proven](d, provenFile)
}

func (d Dir) floor() reader[proto.Floor] {
	if d.kept != nil {
		return &d.kept.floor
	}
	return document[proto.Floor](d, floorFile)
}
