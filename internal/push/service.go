package push

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// DataType is the type of account data that has the push rules. What is stored
// under it is for this package alone: all others go through [AccountData].
const DataType = "m.push_rules"

// AccountData is the content of a user's m.push_rules, of what is stored; nil for
// nothing, since everybody has the predefined rules.
func AccountData(user matrix.UserID, stored []byte) (jsontext.Value, error) {
	rules, err := RulesOf(user, stored)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]Rules{"global": rules})
}

// RulesOf are all push rules of a user, of what is stored as account data; nil for
// nothing.
func RulesOf(user matrix.UserID, stored []byte) (Rules, error) {
	c, err := parseChanges(stored)
	if err != nil {
		return Rules{}, err
	}
	return c.rules(user), nil
}

// Service keeps the push rules of users. It is safe for concurrent use.
type Service struct{ db *storage.DB }

// New makes the service on a database.
func New(db *storage.DB) *Service { return &Service{db: db} }

// Rules are all push rules of user.
func (s *Service) Rules(ctx context.Context, user matrix.UserID) (rules Rules, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		c, err := read(tx, user)
		if err == nil {
			rules = c.rules(user)
		}
		return err
	})
	return rules, err
}

// Rule is one push rule of user, or M_NOT_FOUND.
func (s *Service) Rule(ctx context.Context, user matrix.UserID, k Kind, id string) (Rule, error) {
	rules, err := s.Rules(ctx, user)
	if err != nil {
		return Rule{}, err
	}
	r, err := rules.find(k, id)
	if err != nil {
		return Rule{}, err
	}
	return *r, nil
}

// NewRule is a rule that a user makes or changes.
type NewRule struct {
	ID         string
	Conditions []jsontext.Value // of override and underride rules
	Pattern    string           // of content rules
	Actions    []jsontext.Value
	// Before and After are the ids of rules that it comes next to, "" for no matter.
	// Before is the one that counts.
	Before, After string
}

// SetRule adds a rule, or changes the one that has its id.
func (s *Service) SetRule(ctx context.Context, user matrix.UserID, k Kind, n NewRule) error {
	if err := checkRuleID(n.ID); err != nil {
		return err
	}
	r := Rule{ID: n.ID, Enabled: true}
	switch k {
	case KindOverride, KindUnderride:
		r.Conditions = append([]jsontext.Value{}, n.Conditions...)
		for _, c := range r.Conditions {
			if _, err := parseCondition(c, ""); err != nil {
				return err
			}
		}
		if err := compact(r.Conditions); err != nil {
			return err
		}
	case KindContent:
		if n.Pattern == "" {
			return matrix.Errorf(matrix.CodeBadJSON, "A push rule of the kind content needs a pattern.")
		}
		r.Pattern = n.Pattern
	}
	var err error
	if r.Actions, err = checkActions(n.Actions); err != nil {
		return err
	}
	return s.update(ctx, user, func(c *changes) error { return c.put(k, r, n.Before, n.After) })
}

// DeleteRule deletes a rule that the user has made.
func (s *Service) DeleteRule(ctx context.Context, user matrix.UserID, k Kind, id string) error {
	if p := predefinedByID(id); p != nil && p.kind == k {
		return matrix.Errorf(matrix.CodeInvalidParam, "A predefined push rule cannot be deleted; it can be disabled.")
	}
	return s.update(ctx, user, func(c *changes) error { return c.remove(k, id) })
}

// SetEnabled enables or disables a rule, also a predefined one.
func (s *Service) SetEnabled(ctx context.Context, user matrix.UserID, k Kind, id string, enabled bool) error {
	return s.update(ctx, user, func(c *changes) error { return c.change(k, id, change{Enabled: &enabled}) })
}

// SetActions gives a rule other actions, also a predefined one.
func (s *Service) SetActions(ctx context.Context, user matrix.UserID, k Kind, id string, actions []jsontext.Value) error {
	actions, err := checkActions(actions)
	if err != nil {
		return err
	}
	return s.update(ctx, user, func(c *changes) error { return c.change(k, id, change{Actions: actions}) })
}

// update changes what is stored, and puts it into the stream of /sync.
func (s *Service) update(ctx context.Context, user matrix.UserID, fn func(*changes) error) error {
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		a, err := tx.LockAccount(user)
		switch {
		case err != nil:
			return err
		case a.DeactivatedAt != 0: // the ending has taken what was stored, or is about to
			return matrix.Errorf(matrix.CodeUserDeactivated, "This account has been deactivated.")
		}
		c, err := read(tx, user)
		if err != nil {
			return err
		}
		if err := fn(c); err != nil {
			return err
		}
		stored, err := c.store()
		if err != nil {
			return err
		}
		pos, err := tx.NextPos(storage.Change{Kind: storage.ChangeAccountData, User: user})
		if err != nil {
			return err
		}
		return tx.SetAccountData(user, storage.AccountData{Type: DataType, Content: stored}, pos)
	})
}

func read(tx *storage.Tx, user matrix.UserID) (*changes, error) {
	stored, err := tx.AccountData(user, "", DataType)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	return parseChanges(stored)
}
