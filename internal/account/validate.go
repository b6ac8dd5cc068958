package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"lethe/internal/mail"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// TokenRequest asks for a message that proves who reads the mail of an address
// (CS API, the requestToken endpoints).
type TokenRequest struct {
	Purpose      storage.ValidationPurpose
	User         matrix.UserID // who asks, "" for nobody known
	Medium       string
	Address      string
	ClientSecret string
	SendAttempt  int64
	NextLink     string
}

// secretGrammar is what clients make up as client_secret (CS API, requestToken).
var secretGrammar = regexp.MustCompile(`^[0-9a-zA-Z.=_-]{1,255}$`)

// maxNextLink bounds the next_link of a request, in bytes.
const maxNextLink = 2048

// maxTries is how many wrong tokens a session takes: a code in a text message is
// short enough to be guessed.
const maxTries = 5

// RequestToken sends a validation message and returns the session's id. A
// repetition with the same secret and no higher send_attempt sends nothing.
func (s *Service) RequestToken(ctx context.Context, r TokenRequest) (sid string, err error) {
	pid, err := s.checkTokenRequest(ctx, &r)
	if err != nil {
		return "", err
	}
	token, send := newValidationToken(pid.Medium), true
	secret := hashOf(r.ClientSecret)
	now := s.now()
	begin := func(tx *storage.Tx) error {
		if err := s.lockFor(tx, r.Purpose, r.User); err != nil {
			return err
		}
		v, err := tx.ValidationFor(r.Purpose, pid, secret)
		fresh := errors.Is(err, storage.ErrNotFound)
		if err != nil && !fresh {
			return err
		}
		if fresh {
			v = storage.Validation{
				SID: rand.Text(), Purpose: r.Purpose, UserID: r.User, Threepid: pid,
				ClientSecret: secret, CreatedAt: now,
			}
		}
		sid = v.SID
		if send = fresh || r.SendAttempt > v.SendAttempt; !send {
			return nil
		}
		v.SendAttempt, v.NextLink, v.Tries, v.ValidatedAt = r.SendAttempt, r.NextLink, 0, 0
		v.Token, v.ExpiresAt = hashOf(v.SID+token), now.Add(s.opts.ValidationLifetime)
		if v.UserID != r.User { // it was begun by, or for, somebody else
			if err := s.lockFor(tx, r.Purpose, v.UserID); err != nil {
				return err
			}
		}
		if wait, yes := s.opts.Messages.Exhausted(messageKey(pid)); yes {
			e := matrix.Errorf(matrix.CodeLimitExceeded, "Too many messages to this address. Wait a moment.")
			e.RetryAfter = wait
			return e
		}
		return tx.PutValidation(v)
	}
	if err = s.db.Update(ctx, begin); errors.Is(err, storage.ErrExists) {
		err = s.db.Update(ctx, begin) // the same request has come twice at once
	}
	if err == nil && send {
		s.opts.Messages.Allow(messageKey(pid))
	}
	if err != nil || !send {
		return sid, err
	}
	if err := s.sendToken(ctx, r.Purpose, pid, sid, token); err != nil {
		return "", matrix.Errorf(matrix.CodeUnknown, "The message could not be sent. Try again later.").
			WithStatus(http.StatusInternalServerError).Because(err)
	}
	return sid, nil
}

func messageKey(pid matrix.Threepid) string { return pid.Medium + " " + pid.Address }

// lockFor is lockLive for whom a validation is for, "" being nobody yet.
func (s *Service) lockFor(tx *storage.Tx, purpose storage.ValidationPurpose, user matrix.UserID) error {
	if user == "" {
		return nil
	}
	_, err := s.lockLive(tx, user)
	if purpose == storage.ForPassword && matrix.CodeOf(err) == matrix.CodeUserDeactivated {
		return errNoOwner // its grace period keeps the address from others, not for it
	}
	return err
}

var errNoOwner = matrix.Errorf(matrix.CodeThreePIDNotFound, "No account on this server has this address.")

// checkTokenRequest checks what the client sent, and that the address is free,
// or taken, as the purpose needs. It fills in whose account a password is for.
func (s *Service) checkTokenRequest(ctx context.Context, r *TokenRequest) (matrix.Threepid, error) {
	pid, err := matrix.ParseThreepid(r.Medium, r.Address)
	if err != nil {
		return pid, matrix.Errorf(matrix.CodeInvalidParam, "The address cannot be used: %v.", err)
	}
	if !secretGrammar.MatchString(r.ClientSecret) {
		return pid, matrix.Errorf(matrix.CodeInvalidParam, "The client_secret has 1 to 255 of the characters 0-9, a-z, A-Z and .=_-.")
	}
	if !s.Sends(pid.Medium) {
		return pid, matrix.Errorf(matrix.CodeThreePIDMedium, "This server is not set up to send messages to addresses of that kind.")
	}
	if r.NextLink != "" {
		u, err := url.Parse(r.NextLink)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || len(r.NextLink) > maxNextLink {
			return pid, matrix.Errorf(matrix.CodeInvalidParam,
				"The next_link is not an http or https URL of %d bytes at most.", maxNextLink)
		}
	}
	owner, err := s.Resolve(ctx, Identifier{Medium: pid.Medium, Address: pid.Address})
	if err != nil {
		return pid, err
	}
	switch {
	case r.Purpose == storage.ForPassword && owner == "":
		return pid, errNoOwner
	case r.Purpose == storage.ForPassword:
		r.User = owner
	case owner != "":
		return pid, matrix.Errorf(matrix.CodeThreePIDInUse, "An account on this server has this address already.")
	}
	return pid, nil
}

// Sends tells whether this server can send messages to addresses of a medium.
func (s *Service) Sends(medium string) bool {
	if medium == matrix.MediumMSISDN {
		return s.opts.SendText != nil
	}
	return s.opts.Mail != nil && s.opts.Mail.Configured()
}

// newValidationToken is long for a link, and six digits for a text message.
func newValidationToken(medium string) string {
	if medium == matrix.MediumEmail {
		return rand.Text()
	}
	n, _ := rand.Int(rand.Reader, big.NewInt(900_000)) // never fails
	return n.Add(n, big.NewInt(100_000)).String()
}

func (s *Service) sendToken(
	ctx context.Context, purpose storage.ValidationPurpose, pid matrix.Threepid, sid, token string,
) error {
	if pid.Medium == matrix.MediumMSISDN {
		return s.opts.SendText(ctx, pid.Address, token+" is your code for "+string(s.opts.ServerName)+".")
	}
	kinds := map[storage.ValidationPurpose]mail.Kind{
		storage.ForRegister: mail.KindRegister, storage.ForAdd: mail.KindAdd, storage.ForPassword: mail.KindPassword,
	}
	link := s.opts.BaseURL + "/_lethe/validate?" + url.Values{"sid": {sid}, "token": {token}}.Encode()
	return s.opts.Mail.Send(ctx, pid.Address, kinds[purpose], mail.Data{Link: link})
}

// validation returns a session, or [storage.ErrNotFound], also for what cannot be
// the name of one.
func validation(tx *storage.Tx, sid string) (storage.Validation, error) {
	if strings.ContainsRune(sid, 0) {
		return storage.Validation{}, storage.ErrNotFound
	}
	return tx.Validation(sid)
}

// SubmitToken completes a validation with the token of the message. It returns
// where the client wants its user to go next, "" for nowhere.
func (s *Service) SubmitToken(ctx context.Context, sid, token string) (nextLink string, err error) {
	var wrong bool
	err = s.db.Update(ctx, func(tx *storage.Tx) error {
		wrong, nextLink = false, ""
		v, err := validation(tx, sid)
		if errors.Is(err, storage.ErrNotFound) || err == nil && (v.ExpiresAt <= s.now() || v.Tries >= maxTries) {
			wrong = true
			return nil
		}
		if err != nil {
			return err
		}
		hash := hashOf(sid + token)
		if wrong = subtle.ConstantTimeCompare(hash[:], v.Token[:]) == 0; wrong {
			v.Tries++
			return tx.PutValidation(v)
		}
		if v.ValidatedAt == 0 {
			v.ValidatedAt = s.now()
		}
		nextLink = v.NextLink
		return tx.PutValidation(v)
	})
	if err == nil && wrong {
		err = matrix.Errorf(matrix.CodeThreePIDAuthFailed, "The link or code is wrong, was used too often, or has expired.")
	}
	return nextLink, err
}

// Proven returns the validation that sid and secret name, if it is complete.
func (s *Service) Proven(ctx context.Context, sid, secret string) (storage.Validation, error) {
	unknown := matrix.Errorf(matrix.CodeThreePIDAuthFailed, "There is no such validation session, or it has expired.")
	var v storage.Validation
	err := s.db.Update(ctx, func(tx *storage.Tx) (err error) {
		v, err = validation(tx, sid)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return v, unknown
	}
	if err != nil {
		return v, err
	}
	hash := hashOf(secret)
	if subtle.ConstantTimeCompare(hash[:], v.ClientSecret[:]) == 0 || v.ExpiresAt <= s.now() {
		return v, unknown
	}
	if v.ValidatedAt == 0 {
		return v, matrix.Errorf(matrix.CodeThreePIDAuthFailed, "The address has not been confirmed yet: open the link in the message.")
	}
	return v, nil
}
