/** The words of the pages in German. */
import type { Words } from "./en.ts"

export const de: Words = {
  brand: "Einmal-Dateien",
  api: "API",
  skip: "Zum Inhalt",
  footer: "Dateien werden gelöscht, sobald sie heruntergeladen sind oder ablaufen. Nur wer den Link hat, findet sie.",

  sendTitle: "Eine Datei einmal senden",
  sendLead:
    "Sie bekommen einen Link zum Teilen. Ist die Datei heruntergeladen, funktioniert der Link nicht mehr, und die Datei wird gelöscht.",
  uploadsNeedKey: "Hochladen kann hier nur, wer einen API-Schlüssel hat; herunterladen kann jeder mit einem Link.",
  allNeedsKey: "Hochladen und herunterladen kann hier nur, wer einen API-Schlüssel hat.",
  files: "Dateien",
  dropHint: "Dateien hierher ziehen, einfügen oder auswählen.",
  chooseFolder: "Ordner auswählen",
  most: "Höchstens {size} je Datei.",
  writeText: "Stattdessen einen Text schreiben",
  text: "Text",
  deleteAfter: "Löschen nach",
  downloads: "Downloads",
  onceOption: "1, danach gelöscht",
  never: "Nie",
  noLimit: "Unbegrenzt",
  onceHint: "Die Datei kann einmal heruntergeladen werden und wird dann gelöscht.",
  encrypt: "In diesem Browser verschlüsseln",
  encryptHint:
    "Der Server kann die Datei nicht lesen: Nur der Link enthält den Schlüssel. Geht der Link verloren, ist auch die Datei verloren.",
  passphrase: "Passphrase (optional)",
  passphraseHint:
    "Der Empfänger muss sie eingeben. Nehmen Sie vier oder fünf zufällige Wörter, und senden Sie sie auf einem anderen Weg als den Link.",
  archive: "Die Dateien als ein ZIP-Archiv senden",
  account: "Ich habe ein Konto",
  apiKey: "API-Schlüssel",
  remember: "In diesem Browser merken",
  rememberHint: "Sonst wird er vergessen, wenn dieser Tab geschlossen wird.",
  upload: "Hochladen",
  cancel: "Abbrechen",
  progressOfUpload: "Fortschritt des Uploads",
  fromTerminal: "Dasselbe im Terminal",
  uploadFromTerminal: "Im Terminal hochladen",
  downloadFromTerminal: "Im Terminal herunterladen",
  copyLine: "Kopieren",

  readyTitle: "Ihr Link ist fertig",
  readyLead: "Teilen Sie ihn. Er öffnet eine Seite; erst ihr Knopf lädt {name} herunter.",
  readyLeadDirect: "Teilen Sie ihn. Jeder mit dem Link kann {name} herunterladen.",
  link: "Link",
  copyLink: "Link kopieren",
  qrCode: "QR-Code des Links",
  receiverView: "Ansehen, was der Empfänger sieht",
  takeBack: "Zurücknehmen",
  takeBackHint:
    "Solange dieser Browser offen ist, können Sie die Datei auf dieser Seite löschen. Der Befehl löscht sie von überall.",
  deleteFile: "Datei löschen",
  deletedTitle: "Die Datei ist gelöscht",
  deletedLead: "Ihr Link funktioniert nicht mehr.",
  sendAnother: "Noch eine Datei senden",

  size: "Größe",
  availableUntil: "Verfügbar bis",
  downloadsLeft: "Übrige Downloads",
  unlimited: "Beliebig viele",
  begunNotFinished: "Begonnen, nicht beendet",
  lastBegan: "der letzte Download begann am {time}",
  sentToYou: "Jemand hat Ihnen diese Datei gesendet.",
  someoneDownloading: "Sie wird gerade heruntergeladen. Bricht der Download ab, ist die Datei wieder verfügbar.",
  download: "Herunterladen",
  showText: "Text anzeigen",
  lookingIsFree: "Diese Seite anzusehen zählt nicht als Download.",
  countsWhenSent: "Die Datei gilt als heruntergeladen, sobald sie ganz gesendet ist.",
  progressOfDownload: "Fortschritt des Downloads",
  secret: "Passphrase",
  secretKey: "Geheimer Schlüssel (AGE-SECRET-KEY-1…)",
  encryptedByName:
    "Die Datei ist verschlüsselt. Wer ihren Schlüssel hat, entschlüsselt sie mit age; mit dem vollständigen Link tut es diese Seite.",
  decryptInTerminal: "Im Terminal herunterladen und entschlüsseln",

  goneTitle: "Diese Datei gibt es nicht mehr",
  goneLead:
    "Sie wurde so oft heruntergeladen, wie ihr Absender es erlaubt hat, ist abgelaufen oder wurde gelöscht. Sie lässt sich nicht wiederherstellen.",
  goneHelp:
    "Brauchen Sie sie noch, bitten Sie den Absender, sie erneut hochzuladen. Hat der Link nie funktioniert, vergleichen Sie ihn mit dem, den Sie bekommen haben: Vielleicht fehlt sein Ende.",
  sendYourself: "Selbst eine Datei senden",
  busyTitle: "Diese Datei wird gerade heruntergeladen",
  busyLead: "Immer nur ein Empfänger kann sie herunterladen; sie wird gelöscht, wenn er sie vollständig hat.",
  busyHelp: "Gelingt der Download nicht, ist die Datei wieder verfügbar. Laden Sie dann diese Seite neu.",
  busyHelpIn:
    "Gelingt der Download nicht, ist die Datei in etwa {time} wieder verfügbar. Laden Sie dann diese Seite neu.",
  notUploaded: "Die Datei wurde nicht hochgeladen",
  didNotWork: "Das hat nicht funktioniert",
  hostSays: "Der Server meldet: {reason}",
  tryAgain: "Erneut versuchen",
  backToStart: "Zum Anfang",

  yourLinks: "Ihre Links in diesem Browser",
  yourLinksHint: "Diese Liste ist nur hier gespeichert. Wer diesen Browser benutzt, kann sie sehen.",

  script: {
    copied: "Kopiert",
    copyLink: "Link kopieren",
    copyAll: "Alle Links kopieren",
    share: "Teilen",
    shareAll: "Alle Links teilen",
    more: "QR-Code und Terminal",
    remove: "{name} entfernen",
    chosen: "{count} gewählt, {size}",
    tooLarge: "{name} hat {size}; höchstens {most} können hochgeladen werden.",
    noRoom:
      "Im Konto ist noch Platz für {left}, und das hier braucht {size}. Löschen Sie zuerst etwas, oder wählen Sie weniger.",
    empty: "{name} ist leer. Es gibt nichts zu senden.",
    chooseFirst: "Wählen Sie zuerst eine Datei, oder schreiben Sie einen Text.",
    keyFirst: "Geben Sie zuerst Ihren API-Schlüssel ein: Zum Hochladen ist hier einer nötig.",
    notLoaded:
      "Ein Teil dieser Seite konnte nicht geladen werden: Die Netzverbindung fehlt, oder der Server wurde aktualisiert. Es wurde nichts übertragen. Laden Sie die Seite neu.",
    keyWrong: "Der Server kennt diesen API-Schlüssel nicht.",
    notChecked: "Der Schlüssel ließ sich nicht prüfen: {reason}",
    uploading: "Wird hochgeladen",
    encrypting: "Wird verschlüsselt und hochgeladen",
    uploadingOne: "Datei {number} von {count}",
    progress: "{what}, {percent}",
    numbers: "{done} von {total}",
    left: "{rate}/s, noch {time}",
    waiting: "Die Verbindung ist unterbrochen. Der Upload geht weiter, sobald sie wieder besteht.",
    stalled: "Das dauert länger als sonst. Lassen Sie diese Seite offen; es geht von selbst weiter.",
    hostError: "Der Server meldet ein Problem: {reason}. Der Upload geht weiter, sobald es behoben ist.",
    unreadable:
      "Eine Datei ist nicht lesbar: Sie wurde geändert, verschoben oder gelöscht, oder dieser Browser darf sie nicht öffnen. Von ihr wurde nichts gespeichert. Wählen Sie sie noch einmal.",
    cancelled:
      "Der Upload wurde abgebrochen. Falls der Server die ganze Datei schon hatte, wird eine Kopie ohne Link gelöscht, wenn sie abläuft.",
    uploadFailed: "Die Datei wurde nicht hochgeladen: {reason}",
    hostFull:
      "Der Server hat dafür keinen Platz. Nichts wurde gespeichert. Versuchen Sie es später noch einmal, oder senden Sie weniger.",
    uploadUnknown:
      "Die Verbindung brach am Ende ab, die Datei kann also angekommen sein oder nicht: {reason}. Sie können sie erneut hochladen; eine Kopie ohne Link wird gelöscht, wenn sie abläuft.",
    ready: "Ihr Link ist fertig",
    readyMany: "Ihre Links sind fertig",
    readyLead: "Teilen Sie ihn. Er öffnet eine Seite; erst ihr Knopf lädt die Datei herunter.",
    readyLeadMany: "Teilen Sie sie. Jeder öffnet eine Seite; erst ihr Knopf lädt die Datei herunter.",
    readyEncrypted:
      "Teilen Sie ihn ganz: Der Teil hinter # ist der Schlüssel. Er öffnet eine Seite; erst ihr Knopf lädt die Datei herunter.",
    readyEncryptedMany:
      "Teilen Sie jeden ganz: Der Teil hinter # ist der Schlüssel. Jeder öffnet eine Seite; erst ihr Knopf lädt die Datei herunter.",
    readyPassphrase: "Teilen Sie den Link und, auf einem anderen Weg, die Passphrase.",
    readyPassphraseMany: "Teilen Sie die Links und, auf einem anderen Weg, die Passphrase.",
    notKept:
      "Dieser Browser hat sich den Link nicht gemerkt: Er hat keinen Platz dafür oder darf es nicht. Kopieren Sie den Link, bevor Sie diese Seite schließen: Ohne ihn bekommt niemand die Datei.",
    qrCode: "QR-Code des Links",
    downloadFromTerminal: "Im Terminal herunterladen",
    copyLine: "Kopieren",
    sendAnother: "Noch eine Datei senden",
    sendMore: "Weitere Dateien senden",
    link: "Link",
    linkOf: "Link von {name}",

    stateWaiting: "noch nicht heruntergeladen",
    stateRunning: "wird gerade heruntergeladen",
    stateInterrupted: "ein Download brach ab",
    stateGone: "nicht mehr da: heruntergeladen, abgelaufen oder gelöscht",
    stateDownloaded: "heruntergeladen",
    stateExpired: "abgelaufen",
    stateDeleted: "gelöscht",
    deleteNow: "Löschen",
    deleteSure: "Endgültig löschen?",
    deleteFailed: "Das Löschen ist nicht gelungen: {reason}",
    forget: "Aus der Liste entfernen",
    showAll: "Alle {count} zeigen",

    linkWrong:
      "Dieser Link ist beschädigt: Sein Schlüssel ist unvollständig oder falsch abgeschrieben, daher lässt sich die Datei nicht entschlüsseln. Bitten Sie um den vollständigen Link. Nichts wurde heruntergeladen.",
    linkOther:
      "Der Schlüssel in diesem Link öffnet diese Datei nicht: Der Link gehört zu einer anderen Datei, oder die Datei wurde inzwischen ersetzt. Bitten Sie um einen neuen Link. Nichts wurde heruntergeladen.",
    linkCut:
      "Diese Datei ist verschlüsselt, und ihr Schlüssel fehlt: Der vollständige Link hat #age= und einen Schlüssel am Ende. Der Knopf lädt die verschlüsselte Datei.",
    encryptedInfo:
      "Die Datei ist verschlüsselt. Diese Seite entschlüsselt sie in Ihrem Browser; der Server kann sie nicht lesen.",
    passphraseNeeded: "Die Datei ist mit einer Passphrase verschlüsselt, die Ihnen ihr Absender gibt.",
    identityNeeded: "Die Datei ist für einen geheimen Schlüssel verschlüsselt, den Sie eingeben müssen.",
    enterSecret: "Füllen Sie zuerst das Feld aus. Nichts wurde heruntergeladen.",
    keyMistyped: "Dieser geheime Schlüssel ist unvollständig oder falsch abgeschrieben. Nichts wurde heruntergeladen.",
    wrongSecret: "Damit lässt sich die Datei nicht entschlüsseln.",
    heldHere: "Die verschlüsselte Datei ist schon hier; versuchen Sie es noch einmal.",
    notTaken: "Nichts wurde heruntergeladen.",
    saveEncrypted: "Die verschlüsselte Datei speichern",
    saveAgain: "Noch einmal speichern",
    saveText: "Als Datei speichern",
    stoppedHere:
      "Der Download wurde beendet, aber die verschlüsselte Datei ist vollständig hier, und der Server hat sie vielleicht nicht mehr. Drücken Sie den Knopf, um sie zu entschlüsseln, oder speichern Sie sie.",
    tooLargeHere:
      "Dieser Browser kann eine so große verschlüsselte Datei ({size}) nicht speichern. Nichts wurde heruntergeladen. Verwenden Sie einen anderen Browser oder ein Terminal.",
    someoneDownloading:
      "Sie wird gerade heruntergeladen. Bricht der Download ab, ist die Datei in etwa {grace} wieder verfügbar.",
    otherTab: "Ein anderer Tab dieses Browsers lädt diese Datei gerade herunter.",
    checking: "Schlüssel wird geprüft",
    downloadingDecrypting: "Wird heruntergeladen und entschlüsselt",
    decrypting: "Wird entschlüsselt",
    downloadWaiting: "Die Verbindung ist unterbrochen. Der Download geht weiter, sobald sie wieder besteht.",
    begun: "Der Download hat begonnen.",
    ifBroken:
      "Bricht er ab, drücken Sie den Knopf innerhalb von {grace} noch einmal: So lange bleibt die Datei für Sie reserviert.",
    done: "Fertig: Die Datei ist vollständig, und Ihr Browser speichert sie.",
    doneShown:
      "Hier ist der Text. Der Server hat ihn vielleicht nicht mehr: Kopieren oder speichern Sie ihn, bevor Sie diese Seite schließen.",
    taken: "Der Server hat die ganze Datei gesendet.",
    brokenFor:
      "Ihr Download brach ab. Drücken Sie den Knopf noch einmal: Noch {time} lang ist die Datei für Sie reserviert.",
    broken: "Der Download brach ab.",
    yours: "Drücken Sie den Knopf noch einmal: Innerhalb von {grace} ist die Datei noch für Sie reserviert.",
    again: "Die Datei ist in etwa {grace} wieder verfügbar.",
    downloadFailed: "Der Download ist nicht gelungen: {reason}",
    stopped: "Der Download wurde beendet.",
    notSaved:
      "Ihr Browser hat das Speichern der Datei beendet: Es wurde dort abgebrochen, oder der Datenträger ist voll. Noch {time} lang kann dieser Browser sie erneut herunterladen: Schaffen Sie Platz, und drücken Sie den Knopf.",
    notSavedGone:
      "Ihr Browser hat das Speichern der Datei beendet: Es wurde dort abgebrochen, oder der Datenträger ist voll. Der Server hatte sie da schon ganz gesendet, sie ist daher gelöscht. Bitten Sie den Absender, sie erneut hochzuladen.",
    goneNow: "Die Datei gibt es nicht mehr: Sie wurde heruntergeladen, ist abgelaufen oder wurde gelöscht."
  }
}
