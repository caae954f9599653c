// Package localgit is the forge for a git repository on this machine: it tells when a branch
// moves, what a step of a branch holds, and reads the tree of a revision without a checkout. It
// drives the git program and changes nothing in the repository but one hook (Hook says which).
//
// It knows no other room; app/intake translates its facts.
package localgit
