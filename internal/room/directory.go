package room

import "lethe/internal/matrix"

// claimAlias gives the room an alias of this server.
func (w *writer) claimAlias(who Actor, localpart string) (draft, error) {
	return draft{}, matrix.Errorf(matrix.CodeUnrecognized, "Aliases are not there yet.")
}

// publish puts the room into the directory, or takes it out.
func (w *writer) publish(public bool) error {
	return nil
}
