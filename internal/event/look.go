package event

// What those may ask of an event who may not read it: see package door.

// Size is how many bytes the event's JSON has.
func (e *Event) Size() int { return len(e.raw) }

// Says tells whether the content has something under a name.
func (e *Event) Says(name string) bool { return find(e.content, name) != nil }
