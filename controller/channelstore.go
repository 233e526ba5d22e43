package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"kedge/internal/durable"
	"kedge/proto"
)

// channelFormat is the format of a channel's file.
const channelFormat = 1

// A channelRecord is what a controller must still know of a channel when it starts
// again.
type channelRecord struct {
	// Hosts are those that follow the channel, as the newest revision says that was
	// evaluated; nil before the first.
	Hosts []proto.HostName `json:"hosts"`
	// Deployed is the revision that was rolled out last: what came after it is looked
	// at before anything of it is evaluated.
	Deployed proto.Revision `json:"deployed,omitzero"`
	// PushedOver is the last force-push that was let through; nil if there was none.
	PushedOver *proto.ForcePush `json:"pushed_over,omitempty"`
}

// channelStore keeps a file for each channel.
type channelStore struct {
	dir    string
	shared func(path string) error // required; see [Controller.shared]
}

// Save makes a record durable before it returns nil.
func (s channelStore) Save(channel string, r channelRecord) error {
	if err := durable.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("save channel %s: %w", channel, err)
	}
	file := s.document(channel)
	if err := file.Write(r); err != nil {
		return fmt.Errorf("save channel %s: %w", channel, err)
	}
	if err := s.shared(file.Path); err != nil {
		return fmt.Errorf("save channel %s: %w", channel, err)
	}
	return nil
}

// Load returns a channel's record, zero before the first.
func (s channelStore) Load(channel string) (channelRecord, error) {
	r, err := s.document(channel).Read()
	if errors.Is(err, fs.ErrNotExist) {
		return channelRecord{}, nil
	}
	if err != nil {
		return channelRecord{}, fmt.Errorf("load channel %s: %w", channel, err)
	}
	return r, nil
}

func (s channelStore) document(channel string) durable.Document[channelRecord] {
	return durable.Document[channelRecord]{Path: filepath.Join(s.dir, channel+".json"), Format: channelFormat}
}
