package event_test

import (
	"fmt"
	"testing"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

func TestIdentityRequestIsSignedAsSydentVerifiesIt(t *testing.T) {
	key := specKey(t)
	header, err := event.SignIdentityRequest("POST", uri, "origin.example", "id.example:8090", []byte(body), key)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := matrix.ParseXMatrix(header)
	if err != nil {
		t.Fatal(err)
	}
	if auth.Origin != "origin.example" || auth.Destination != "id.example:8090" {
		t.Errorf("the header says %+v", auth)
	}
	// The object that Sydent's hs_federation/verifier.py makes of the request.
	signed := fmt.Sprintf(`{"method":"POST","uri":%q,"destination_is":"id.example:8090","origin":"origin.example",
		"content":%s,"signatures":{"origin.example":{%q:%q}}}`, uri, body, auth.Key, auth.Signature)
	if err := event.VerifyJSON([]byte(signed), "origin.example", auth.Key, key.Public()); err != nil {
		t.Error(err)
	}
	if err := event.VerifyRequest("POST", uri, "id.example:8090", []byte(body), auth, key.Public()); err == nil {
		t.Error("the old form passes for the specification's")
	}
}
