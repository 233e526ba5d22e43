// Package hook takes the webhooks of forges: a push is told of, and found at once.
//
// A webhook is a hint and nothing else. Whoever can send one has a repository
// looked at; what is there, and whether it is deployed, is decided as ever. So it
// does no harm to send one again, and a storm of them costs a look now and then.
package hook
