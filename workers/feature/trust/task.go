package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// SignatureKey is the key of a task's extra at which its signature stands.
const SignatureKey = "signature"

// taskSignature is that of a definition: of all that is in it but its priority, which may be changed later, and of
// the task's id, so that it is not good for another task.
type taskSignature struct {
	Version int    `json:"version"` // 1
	Key     string `json:"key"`     // see KeyID
	Value   string `json:"value"`   // base64
}

// KeyID names a public key in few letters.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:6])
}

// signedText is what is signed of a definition.
func signedText(taskID string, d task.Definition) ([]byte, error) {
	if err := d.Complete(taskID); err != nil {
		return nil, err
	}
	d.Priority = ""
	var extra map[string]json.RawMessage
	if err := json.Unmarshal(d.Extra, &extra); err != nil {
		return nil, fmt.Errorf("extra: %w", err)
	}
	delete(extra, SignatureKey)
	var err error
	if d.Extra, err = json.Marshal(extra); err == nil {
		d.Extra, err = inOrder(d.Extra)
	}
	if err == nil {
		d.Payload, err = inOrder(d.Payload)
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(d)
	return append([]byte("treeline task 1\n"+taskID+"\n"), text...), err
}

// inOrder is the same JSON whatever way it was written: keys in order, numbers as they stand.
func inOrder(text json.RawMessage) (json.RawMessage, error) {
	if len(text) == 0 {
		return json.RawMessage("{}"), nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// SignTask returns a task's definition, as it is sent to the queue, with a signature in its extra. One that is no definition
// is fault.Invalid.
func SignTask(key ed25519.PrivateKey, taskID string, definition []byte) ([]byte, error) {
	var d task.Definition
	if err := json.Unmarshal(definition, &d); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the definition of task %s cannot be read: %v", taskID, err)
	}
	text, err := signedText(taskID, d)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the definition of task %s cannot be signed: %v", taskID, err)
	}
	signature, err := json.Marshal(taskSignature{1, KeyID(key.Public().(ed25519.PublicKey)), base64.StdEncoding.EncodeToString(ed25519.Sign(key, text))})
	if err != nil {
		return nil, err
	}
	var whole, extra map[string]json.RawMessage
	if err := json.Unmarshal(definition, &whole); err != nil {
		return nil, err
	}
	if len(whole["extra"]) > 0 {
		if err := json.Unmarshal(whole["extra"], &extra); err != nil {
			return nil, err
		}
	}
	if extra == nil {
		extra = map[string]json.RawMessage{}
	}
	extra[SignatureKey] = signature
	if whole["extra"], err = json.Marshal(extra); err != nil {
		return nil, err
	}
	return json.Marshal(whole)
}

// VerifyTask checks that one of the keys signed a task's definition, and returns which. One that is not signed, or was changed
// since, is fault.Forbidden.
func VerifyTask(keys []ed25519.PublicKey, taskID string, d task.Definition) (keyID string, err error) {
	var extra map[string]json.RawMessage
	var s taskSignature
	if json.Unmarshal(d.Extra, &extra) != nil || len(extra[SignatureKey]) == 0 {
		return "", fault.New(fault.Forbidden, "the task's definition is not signed (extra.%s)", SignatureKey)
	}
	value, bad := []byte(nil), json.Unmarshal(extra[SignatureKey], &s)
	if bad == nil {
		value, bad = base64.StdEncoding.DecodeString(s.Value)
	}
	if bad != nil || s.Version != 1 {
		return "", fault.New(fault.Forbidden, "the signature of the task's definition cannot be read (extra.%s)", SignatureKey)
	}
	text, err := signedText(taskID, d)
	if err != nil {
		return "", fault.Wrap(fault.Forbidden, err, "the task's definition cannot be checked: %v", err)
	}
	for _, key := range keys {
		if KeyID(key) == s.Key {
			if ed25519.Verify(key, text, value) {
				return s.Key, nil
			}
			return "", fault.New(fault.Forbidden, "the task's definition is not the one that key %s signed: it was changed, or made for another task", s.Key)
		}
	}
	return "", fault.New(fault.Forbidden, "the task's definition is signed by key %.40q, which is none of the %d that this worker trusts", s.Key, len(keys))
}
