package wire

import (
	"crypto/tls"
	"crypto/x509"
)

// Trust makes a Caller believe in the certificates of a test's server.
func (c *Caller) Trust(roots *x509.CertPool) *Caller {
	c.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return c
}
