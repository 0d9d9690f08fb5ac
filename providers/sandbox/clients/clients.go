// Package clients is a module of its own for one purpose: its tests use the sandbox by the clients that the providers
// publish themselves and that CastAD doesn't use, so that a misreading of ours would show.
package clients
