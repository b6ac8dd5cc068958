package event

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"

	"lethe/internal/matrix"
)

// VerifySignatures checks that all servers whose signature an event needs have
// signed it (Server-Server API, Validating hashes and signatures on received
// events). keys gives the public key of a server by its id; it is asked for no
// others than those that the event names, and says false for a key that is not
// known, or was not valid at the event's origin_server_ts. Signatures with such
// keys do not count. Of the others of a server, each has to be right, and there
// has to be one.
func VerifySignatures(e *Event, keys func(server matrix.ServerName, keyID string) (ed25519.PublicKey, bool)) error {
	message := e.signable()
	for _, server := range e.signers() {
		if err := e.verify(message, server, keys); err != nil {
			return err
		}
	}
	return nil
}

func (e *Event) verify(
	message []byte, server matrix.ServerName, keys func(matrix.ServerName, string) (ed25519.PublicKey, bool),
) error {
	signed := false
	c := newCursor(find(e.signatures, string(server)))
	for m, ok := c.next(); ok; m, ok = c.next() {
		id := string(m.key)
		if !strings.HasPrefix(id, algorithm) {
			continue
		}
		key, known := keys(server, id)
		if !known {
			continue
		}
		s, _ := text(m.value)
		sig, err := DecodeBase64(string(s))
		if err != nil || len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, message, sig) {
			return fmt.Errorf("event %s: the signature of %s with the key %s is wrong", e.id, server, id)
		}
		signed = true
	}
	if !signed {
		return fmt.Errorf("event %s: there is no signature of %s with a key that is known", e.id, server)
	}
	return nil
}

// signers are the servers that must have signed the event: the sender's; before
// rooms/v3 that of the event id; where there are restricted joins, that of the
// user who let somebody in (rooms/v8, auth rule 4.2). A third-party invite is
// sent by another server than the sender's, which has not seen it.
func (e *Event) signers() []matrix.ServerName {
	var servers []matrix.ServerName
	if !e.isThirdPartyInvite() {
		servers = append(servers, e.Sender().Server())
	}
	if e.version.EventIDs == IDsGiven {
		servers = append(servers, serverOf([]byte(e.id)))
	}
	if e.version.Restricted && e.typ == typeMember {
		if user := find(e.content, "join_authorised_via_users_server"); user != nil {
			s, _ := text(user)
			servers = append(servers, serverOf(s))
		}
	}
	slices.Sort(servers)
	return slices.Compact(servers)
}

// isThirdPartyInvite is of what the event says in the form it has: one whose
// content hash is wrong is redacted, and does not say it any more before
// rooms/v11. Otherwise anybody could invite in another's name.
func (e *Event) isThirdPartyInvite() bool {
	return e.typ == typeMember && findText(e.content, "membership") == "invite" &&
		find(e.content, "third_party_invite") != nil
}

// serverOf is the part of an id after its first colon.
func serverOf(id []byte) matrix.ServerName {
	_, server, _ := bytes.Cut(id, []byte(":"))
	return matrix.ServerName(server)
}
