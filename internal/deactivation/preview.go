package deactivation

import (
	"context"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Preview is what an ending would do.
type Preview struct {
	UserID matrix.UserID `json:"user_id"`
	Erase  bool          `json:"erase"`
	// Goes is what the receipt will have as gone: how much of each category of
	// which there is any. Of the messages it is all: those that somebody may read
	// whole after an erasure are in the receipt as kept.
	Goes  map[string]int64 `json:"goes"`
	Stays []Staying        `json:"stays"`
	// Unbinds counts the identifiers that would be unbound, by identity server.
	Unbinds map[matrix.ServerName]int64 `json:"unbinds"`
}

// Preview tells what [Service.Deactivate] would do. It changes nothing.
func (s *Service) Preview(ctx context.Context, req Request) (Preview, error) {
	a, err := s.accounts.Account(ctx, req.User)
	if err != nil {
		return Preview{}, err
	}
	if err := allowed(a, req.By); err != nil {
		return Preview{}, err
	}
	p := Preview{UserID: req.User, Erase: req.Erase, Stays: staying(req.Erase)}
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		p.Goes, p.Unbinds = map[string]int64{}, map[matrix.ServerName]int64{}
		if a.PasswordHash != "" {
			p.Goes[passwordCategory] = 1
		}
		for _, it := range Inventory {
			if it.Category == "" || it.Table == "accounts" || it.Goes == AtErasure && !req.Erase {
				continue
			}
			n, err := tx.CountPersonal(it.Table, req.User)
			if err != nil {
				return err
			}
			if n > 0 {
				p.Goes[it.Category] = n
			}
		}
		rooms, err := tx.CountMemberships(req.User)
		if err != nil {
			return err
		}
		for membership, category := range roomCategories {
			if n := rooms[membership]; n > 0 {
				p.Goes[category] = n
			}
		}
		targets, err := s.targets(tx, storage.Deactivation{UserID: req.User, IDServer: req.IDServer})
		for _, t := range targets {
			p.Unbinds[t.IDServer]++
		}
		return err
	})
	return p, err
}
