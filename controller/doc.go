// Package controller turns a git repository into what every host of a fleet
// shall run, and shows what the hosts made of it.
//
// Hosts follow channels, each of which is a branch of a git repository, and which
// have nothing in common but the hosts' names.
//
// The way of a revision, each part behind a small interface of its own: the
// [Source] sees it, the [Builder] evaluates and builds the toplevel of every
// host, the [Cacher] copies the closures into the binary cache, the publisher
// signs and publishes one desired state per host, in the waves that
// rollout.Next decides. The [Fleet] holds what was published and what the hosts
// said since.
//
// # What is durable
//
// The truth is on disk: desired/<host>.json holds what was last signed for a
// host, keys/ the keys, rollouts/ the rollouts, channels/ what
// else is to be known of a channel. NATS holds a copy of what was
// signed, which hosts read: what is missing or older there is put again at every
// connection. A controller that was killed at any instant goes on from there;
// nothing that a host was told is ever taken back, and no serial is used twice
// for two statements. Only who has a reboot lease is in NATS alone, where every
// controller finds it.
//
// # Concurrency
//
// One goroutine, the pipeline, owns the way from the source to the rollout of a
// channel.
// Everything else either reads the [Fleet] or calls the publisher, and both are
// safe for concurrent use.
package controller
