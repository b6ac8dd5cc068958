package event

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// errNoWire: what an event says leaves this server through package door alone.
var errNoWire = errors.New("event: it is not written as it is: what leaves goes through the door")

// MarshalJSONTo refuses: an event in an answer is a mistake (package door).
func (e *Event) MarshalJSONTo(*jsontext.Encoder) error { return errNoWire }

// MarshalJSON refuses as [Event.MarshalJSONTo] does.
func (e *Event) MarshalJSON() ([]byte, error) { return nil, errNoWire }
