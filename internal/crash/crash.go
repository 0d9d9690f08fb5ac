//go:build !crashpoints

// Package crash names the points between two steps at which a process may die, so that tests reach each of them on
// purpose. In a program as it is shipped a point is nothing: the compiler removes the empty function. Built with the tag
// "crashpoints", the process whose CASTAD_CRASH names a point kills itself there.
package crash

// At is the point of that name. scope is the stage or program, step what has just happened or is about to, purpose tells
// the calls of one run apart ("" where there is one).
func At(_, _, _ string) {}

// Without reports whether a guard is switched off, to show what it is there for. Nothing is, in a program as it is shipped.
func Without(_ string) bool { return false }
