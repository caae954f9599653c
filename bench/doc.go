// Package bench measures a running Treeline from outside, as any client sees it: how long a commit
// takes until its first task runs, and what the queue's API does in a second. It speaks the public
// API only, asserts nothing, and gives the price of an fsync with every figure, because on a
// database that loses nothing that price is most of the truth.
package bench
