import type { Words } from "./en.ts"

export const es: Words = {
  brand: "Archivos de un solo uso",
  api: "API",
  skip: "Ir al contenido",
  footer: "Los archivos se borran al descargarse o al caducar. Solo quien tiene el enlace puede encontrarlos.",

  sendTitle: "Enviar un archivo una vez",
  sendLead:
    "Recibe un enlace para compartir. Cuando el archivo se ha descargado, el enlace deja de funcionar y el archivo se borra.",
  uploadsNeedKey:
    "Aquí solo puede subir archivos quien tiene una clave de API; cualquiera con un enlace puede descargar.",
  allNeedsKey: "Aquí solo puede subir y descargar archivos quien tiene una clave de API.",
  files: "Archivos",
  dropHint: "Arrastre archivos aquí, péguelos o elíjalos.",
  most: "Como máximo {size} por archivo.",
  writeText: "Escribir un texto en su lugar",
  text: "Texto",
  deleteAfter: "Borrar después de",
  downloads: "Descargas",
  onceOption: "1, y después desaparece",
  never: "Nunca",
  noLimit: "Sin límite",
  onceHint: "El archivo se puede descargar una vez y después desaparece.",
  encrypt: "Cifrar en este navegador",
  encryptHint:
    "El servidor no puede leer el archivo: solo el enlace contiene la clave. Un enlace perdido es un archivo perdido.",
  passphrase: "Frase de contraseña (opcional)",
  passphraseHint:
    "El destinatario debe introducirla. Use cuatro o cinco palabras al azar y envíelas por una vía distinta de la del enlace.",
  archive: "Enviar los archivos como un solo archivo ZIP",
  account: "Tengo una cuenta",
  apiKey: "Clave de API",
  remember: "Recordarla en este navegador",
  rememberHint: "Si no, se olvida al cerrar esta pestaña.",
  upload: "Subir",
  cancel: "Cancelar",
  progressOfUpload: "Progreso de la subida",
  fromTerminal: "Lo mismo desde una terminal",
  uploadFromTerminal: "Subir desde una terminal",
  downloadFromTerminal: "Descargar desde una terminal",
  copyLine: "Copiar",

  readyTitle: "Su enlace está listo",
  readyLead: "Compártalo. Al abrirlo se ve una página; solo su botón descarga {name}.",
  readyLeadDirect: "Compártalo. Cualquiera con el enlace puede descargar {name}.",
  link: "Enlace",
  copyLink: "Copiar el enlace",
  qrCode: "Código QR del enlace",
  receiverView: "Ver lo que ve el destinatario",
  takeBack: "Retirar el archivo",
  takeBackHint:
    "Hasta que se cierre, este navegador puede borrar el archivo en esta página. El comando lo borra desde cualquier lugar.",
  deleteFile: "Borrar el archivo",
  deletedTitle: "El archivo está borrado",
  deletedLead: "Su enlace ya no funciona.",
  sendAnother: "Enviar otro archivo",

  size: "Tamaño",
  availableUntil: "Disponible hasta",
  downloadsLeft: "Descargas restantes",
  unlimited: "Sin límite",
  begunNotFinished: "Empezadas, no terminadas",
  lastBegan: "la última descarga empezó el {time}",
  sentToYou: "Alguien le ha enviado este archivo.",
  someoneDownloading: "Otra persona lo está descargando. Si se interrumpe, el archivo vuelve a estar disponible.",
  download: "Descargar",
  showText: "Mostrar el texto",
  lookingIsFree: "Ver esta página no cuenta como descarga.",
  countsWhenSent: "El archivo cuenta como descargado cuando se ha enviado entero.",
  progressOfDownload: "Progreso de la descarga",
  secret: "Frase de contraseña",
  secretKey: "Clave secreta (AGE-SECRET-KEY-1…)",
  encryptedByName:
    "El archivo está cifrado. Si conoce su clave, descífrelo con age; con el enlace completo lo descifra esta página.",
  decryptInTerminal: "Descargar y descifrar en una terminal",

  goneTitle: "Este archivo ya no está",
  goneLead: "Se descargó tantas veces como permitió su remitente, caducó o fue borrado. No se puede recuperar.",
  goneHelp:
    "Si aún lo necesita, pida al remitente que lo suba de nuevo. Si el enlace nunca funcionó, compárelo con el que recibió: puede faltarle el final.",
  sendYourself: "Enviar un archivo usted mismo",
  busyTitle: "Otra persona está descargando este archivo",
  busyLead: "Solo puede descargarlo un destinatario a la vez, y se borra cuando lo tiene entero.",
  busyHelp: "Si esa descarga no termina, el archivo vuelve a estar disponible. Entonces recargue esta página.",
  busyHelpIn:
    "Si esa descarga no termina, el archivo vuelve a estar disponible en unos {time}. Entonces recargue esta página.",
  notUploaded: "El archivo no se ha subido",
  didNotWork: "No ha funcionado",
  tryAgain: "Intentarlo de nuevo",
  backToStart: "Volver al inicio",

  yourLinks: "Sus enlaces en este navegador",
  yourLinksHint: "Esta lista solo se guarda aquí. Quien use este navegador puede verla.",

  script: {
    copied: "Copiado",
    copyLink: "Copiar el enlace",
    copyAll: "Copiar todos los enlaces",
    share: "Compartir",
    shareAll: "Compartir todos los enlaces",
    more: "Código QR y terminal",
    remove: "Quitar {name}",
    chosen: "Archivos elegidos: {count}, {size}",
    tooLarge: "{name} tiene {size}; se pueden subir como máximo {most}.",
    noRoom: "En la cuenta queda sitio para {left} y esto ocupa {size}. Borre algo primero o elija menos.",
    empty: "{name} está vacío. No hay nada que enviar.",
    chooseFirst: "Elija primero un archivo o escriba un texto.",
    keyFirst: "Introduzca primero su clave de API: aquí hace falta para subir archivos.",
    notLoaded:
      "No se ha podido cargar una parte de esta página: no hay red o el servidor se ha actualizado. No se ha transferido nada. Vuelva a cargar la página.",
    keyWrong: "El servidor no conoce esta clave de API.",
    uploading: "Subiendo",
    encrypting: "Cifrando y subiendo",
    uploadingOne: "archivo {number} de {count}",
    progress: "{what}, {percent}",
    numbers: "{done} de {total}",
    left: "{rate}/s, quedan {time}",
    waiting: "No hay conexión. La subida continúa cuando vuelva.",
    stalled: "Tarda más de lo habitual. Deje esta página abierta; continúa por sí sola.",
    hostError: "El servidor informa de un problema: {reason}. La subida continúa cuando se haya recuperado.",
    unreadable:
      "No se puede leer un archivo: se ha cambiado, movido o borrado, o este navegador no puede abrirlo. No se ha guardado nada de él. Elíjalo otra vez.",
    cancelled:
      "La subida se canceló. Si el servidor ya tenía el archivo entero, una copia sin enlace se borra al caducar.",
    uploadFailed: "El archivo no se ha subido: {reason}",
    hostFull: "El servidor no tiene sitio para esto. No se ha guardado nada. Inténtelo más tarde o envíe menos.",
    uploadUnknown:
      "La conexión se cortó al final, así que el archivo puede haber llegado o no: {reason}. Puede subirlo otra vez; una copia sin enlace se borra al caducar.",
    ready: "Su enlace está listo",
    readyMany: "Sus enlaces están listos",
    readyLead: "Compártalo. Al abrirlo se ve una página; solo su botón descarga el archivo.",
    readyLeadMany: "Compártalos. Al abrir uno se ve una página; solo su botón descarga el archivo.",
    readyEncrypted:
      "Compártalo entero: la parte detrás de # es la clave. Al abrirlo se ve una página; solo su botón descarga el archivo.",
    readyEncryptedMany:
      "Comparta cada uno entero: la parte detrás de # es la clave. Al abrir uno se ve una página; solo su botón descarga el archivo.",
    readyPassphrase: "Comparta el enlace y, por otra vía, la frase de contraseña.",
    readyPassphraseMany: "Comparta los enlaces y, por otra vía, la frase de contraseña.",
    notKept:
      "Este navegador no ha guardado el enlace en su lista: no tiene espacio, o no se le permite. Copie el enlace antes de cerrar esta página: sin él nadie recibe el archivo.",
    qrCode: "Código QR del enlace",
    downloadFromTerminal: "Descargar desde una terminal",
    copyLine: "Copiar",
    sendAnother: "Enviar otro archivo",
    sendMore: "Enviar otros archivos",
    link: "Enlace",
    linkOf: "Enlace de {name}",

    stateWaiting: "aún no descargado",
    stateRunning: "se está descargando",
    stateInterrupted: "una descarga se interrumpió",
    stateGone: "ya no está: descargado, caducado o borrado",
    stateDownloaded: "descargado",
    stateExpired: "caducado",
    stateDeleted: "borrado",
    deleteNow: "Borrar",
    deleteSure: "¿Borrar definitivamente?",
    deleteFailed: "No se pudo borrar: {reason}",
    forget: "Quitar de la lista",
    showAll: "Mostrar los {count}",

    linkWrong:
      "Este enlace está dañado: su clave está incompleta o mal escrita, así que el archivo no se puede descifrar. Pida el enlace completo. No se ha descargado nada.",
    linkCut:
      "Este archivo está cifrado y falta su clave: el enlace completo termina con #age= y una clave. El botón descarga el archivo cifrado.",
    encryptedInfo: "El archivo está cifrado. Esta página lo descifra en su navegador; el servidor no puede leerlo.",
    passphraseNeeded: "El archivo está cifrado con una frase de contraseña que le da su remitente.",
    identityNeeded: "El archivo está cifrado para una clave secreta que debe introducir.",
    enterSecret: "Introdúzcala primero. No se ha descargado nada.",
    keyMistyped: "Esta clave secreta está incompleta o mal escrita. No se ha descargado nada.",
    wrongSecret: "Con esto no se descifra el archivo. El archivo cifrado está aquí; inténtelo otra vez.",
    wrongSecretStream:
      "Con esto no se descifra el archivo. La descarga se detuvo; el archivo vuelve a estar disponible en unos {grace}.",
    saveEncrypted: "Guardar el archivo cifrado",
    saveAgain: "Guardar otra vez",
    saveText: "Guardar como archivo",
    stoppedHere:
      "La descarga se detuvo, pero el archivo cifrado está entero aquí y puede que el servidor ya no lo tenga. Pulse el botón para descifrarlo o guárdelo.",
    tooLargeHere:
      "Este navegador no puede guardar un archivo cifrado tan grande ({size}). No se ha descargado nada. Use otro navegador o una terminal.",
    someoneDownloading:
      "Otra persona lo está descargando. Si se interrumpe, el archivo vuelve a estar disponible en unos {grace}.",
    otherTab: "Otra pestaña de este navegador está descargando este archivo.",
    downloadingDecrypting: "Descargando y descifrando",
    decrypting: "Descifrando",
    downloadWaiting: "No hay conexión. La descarga continúa cuando vuelva.",
    begun:
      "La descarga ha empezado. Si se corta, pulse el botón otra vez antes de {grace}: durante ese tiempo el archivo sigue siendo suyo.",
    done: "Listo: el archivo está completo y su navegador lo guarda.",
    doneShown:
      "Aquí está el texto. Puede que el servidor ya no lo tenga: cópielo o guárdelo antes de cerrar esta página.",
    taken: "El servidor ha enviado el archivo entero.",
    brokenFor: "Su descarga se cortó. Pulse el botón otra vez: durante {time} el archivo sigue siendo suyo.",
    broken: "La descarga se cortó. Pulse el botón otra vez: durante {grace} el archivo sigue siendo suyo.",
    downloadFailed: "La descarga ha fallado: {reason}",
    stopped:
      "La descarga se detuvo. El archivo vuelve a estar disponible en unos {grace}; para este navegador, enseguida.",
    notSaved:
      "Su navegador dejó de guardar el archivo: se canceló allí o el disco está lleno. Durante {time} este navegador puede descargarlo otra vez: libere espacio y pulse el botón.",
    notSavedGone:
      "Su navegador dejó de guardar el archivo: se canceló allí o el disco está lleno. El servidor ya lo había enviado entero, así que el archivo se ha borrado. Pida al remitente que lo suba de nuevo.",
    goneNow: "El archivo ya no está: fue descargado, caducó o fue borrado."
  }
}
