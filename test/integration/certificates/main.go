// Makes what TLS on both sides takes, new each time: an authority, and by it a certificate for servers on localhost and one
// for clients. Writes ca.pem, server.pem, server-key.pem, client.pem and client-key.pem into the folder that is named.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	der         []byte
}

func main() {
	dir := os.Args[1]
	authority := sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "authority of the tests"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil)
	server := sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "server"},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &authority)
	client := sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "client"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, &authority)
	write(dir, "ca.pem", "CERTIFICATE", authority.der)
	for name, one := range map[string]pair{"server": server, "client": client} {
		key, err := x509.MarshalPKCS8PrivateKey(one.key)
		check(err)
		write(dir, name+".pem", "CERTIFICATE", one.der)
		write(dir, name+"-key.pem", "PRIVATE KEY", key)
	}
}

// By itself, without an authority.
func sign(template *x509.Certificate, by *pair) pair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	check(err)
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(24 * time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	check(err)
	certificate, err := x509.ParseCertificate(der)
	check(err)
	return pair{certificate, key, der}
}

func write(dir, name, kind string, der []byte) {
	check(os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
