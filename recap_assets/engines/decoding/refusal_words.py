"""How models decline in languages other than English, and say in them that they saw no image.

Each pattern is matched at the beginning of a text in small letters, white space joined. As in
English two things are asked for: the model speaks of itself (by the form of the verb, or after an
apology), and cannot or will not do what a captioner is asked to do.
"""

DECLINES: tuple[str, ...] = (
    # German
    r"(?:(?:es )?tut mir (?:sehr )?leid|entschuldigung|verzeihung|leider)?\W*(?:aber )?"
    r"(?:ich )?(?:kann|darf|möchte|werde)(?: ich)?\b[^.]{0,50}?\b(?:nicht|keine?\w{0,2})\b[^.]{0,60}?"
    r"(?:beschreib|helf|weiterhelf|identifizier|erkenn|geben|beantwort|erstell|analysier|sehen)",
    r"als (?:ki\b|künstliche intelligenz|sprachmodell|ki-\w+)",
    # French
    r"(?:(?:je suis |je )?(?:vraiment )?(?:désolée?|navrée?|m'excuse)|désolée?|pardon|malheureusement)"
    r"?\W*(?:mais )?je (?:ne |n')(?:peux|puis|suis|pourrai)\b[^.]{0,30}?(?:pas|incapable|en mesure)?"
    r"[^.]{0,60}?(?:décrire|aider|identifier|fournir|répondre|analyser|accéder|voir|reconna)",
    r"en tant qu(?:e |')(?:ia\b|intelligence artificielle|assistant|modèle)",
    # Spanish
    r"(?:lo siento(?: mucho)?|lamento|lamentablemente|disculpa|perdón|me temo)?\W*(?:pero )?(?:que )?"
    r"(?:yo )?no (?:puedo|podré|me es posible|soy capaz|estoy en condiciones)\b[^.]{0,50}?"
    r"(?:describir|ayudar|identificar|proporcionar|responder|asistir|analizar|acceder|ver\b|ofrecer)",
    r"como (?:una? )?(?:ia\b|inteligencia artificial|modelo de lenguaje)",
    # Portuguese
    r"(?:desculpe|desculpa|lamento|sinto muito|infelizmente)?\W*(?:mas )?(?:eu )?não (?:posso|consigo"
    r"|sou capaz)\b[^.]{0,50}?(?:descrever|ajudar|identificar|fornecer|responder|analisar|ver\b)",
    r"como (?:uma? )?(?:inteligência artificial|modelo de linguagem)",
    # Italian
    r"(?:mi dispiace|scusa|scusami|purtroppo)?\W*(?:ma )?(?:io )?non (?:posso|riesco|sono in grado)\b"
    r"[^.]{0,50}?(?:descriver|aiutar|identificar|fornir|risponder|analizzar|vedere)",
    # Dutch
    r"(?:het spijt me|sorry|helaas)?\W*(?:maar )?(?:ik )?(?:kan|mag)(?: ik)?\b[^.]{0,50}?"
    r"\b(?:niet|geen)\b[^.]{0,60}?(?:beschrijven|helpen|identificeren|herkennen|geven|beantwoorden)",
    # Swedish
    r"(?:tyvärr|förlåt|jag är ledsen)?\W*(?:men )?(?:jag )?kan(?: jag)?\b[^.]{0,20}?\binte\b[^.]{0,50}?"
    r"(?:beskriva|hjälpa|identifiera|svara|analysera)",
    # Polish
    r"(?:przepraszam|przykro mi|niestety)?\W*(?:ale )?(?:ja )?nie (?:mogę|jestem w stanie|potrafię)\b"
    r"[^.]{0,50}?(?:opisać|pomóc|zidentyfikować|rozpoznać|odpowiedzieć|podać)",
    # Russian
    r"(?:извините|простите|к сожалению|сожалею|прошу прощения)?\W*(?:но )?(?:я )?не (?:могу|в состоянии"
    r"|способ\w+|имею возможности)\b[^.]{0,50}?(?:опис|помо|идентифиц|определ|ответ|предостав|видеть)",
    r"как (?:ии\b|искусственный интеллект|языковая модель)",
    # Turkish
    r"(?:üzgünüm|maalesef|özür dilerim|kusura bakma\w*)[^.]{0,90}?\w*(?:amam|emem|amıyorum|emiyorum)\b",
    # Indonesian, Vietnamese
    r"maaf\b[^.]{0,40}?(?:tidak|tak) (?:dapat|bisa)\b[^.]{0,50}?(?:deskripsi|bantu|identifikasi|jawab)",
    r"(?:rất )?xin lỗi\b[^.]{0,60}?không thể\b[^.]{0,50}?(?:mô tả|giúp|nhận dạng|xác định|cung cấp)",
    # Chinese, simplified and traditional
    r"(?:很|非常|十分)?(?:抱歉|对不起|對不起|不好意思|遗憾)[^。]{0,20}?(?:无法|無法|不能|没办法|沒辦法)",
    r"我(?:无法|無法|不能)[^。]{0,24}?(?:描述|识别|識別|帮助|幫助|提供|回答|分析|生成|协助|協助|满足)",
    r"作[为為](?:一[个個名])?(?:人工智[能慧]|ai|大?语言模型|大?語言模型)",
    # Japanese
    r"(?:大変|誠に)?(?:申し訳(?:あり|ござい)ません|すみません|ごめんなさい|残念ながら)[^\n]{0,80}?"
    r"(?:できません|できかねます|いたしかねます|出来ません)",
    # Korean
    r"(?:죄송|미안|유감)[^\n]{0,80}?(?:수 ?없|못합니다|어렵습니다)",
    # Arabic, Hindi
    r"(?:أنا )?(?:آسف|عذرا|عذرًا|أعتذر|للأسف)[^.]{0,60}?(?:لا (?:أستطيع|يمكنني)|غير قادر)",
    r"(?:मुझे )?(?:क्षमा|माफ़|माफ|खेद)[^।]{0,60}?(?:नहीं (?:कर|दे|बता) सकत|असमर्थ)",
)

SEES_NOTHING: tuple[str, ...] = (
    r"(?:(?:es )?tut mir leid|entschuldigung|leider)?\W*(?:aber )?(?:ich )?(?:sehe|kann)(?: ich)?\b"
    r"[^.]{0,20}?\bkeine?n?\b(?: \w+)? (?:bild|foto)|bitte (?:lade|laden|sende|senden|füge)\b[^.]{0,30}?"
    r"(?:bild|foto)|es (?:wurde|ist|gibt) kein(?:e|en)? (?:bild|foto)",
    r"(?:désolée?|je suis désolée?)?\W*(?:mais )?je ne vois (?:pas d'|aucune )(?:image|photo)"
    r"|aucune (?:image|photo) (?:n'a été|n'est)|veuillez (?:fournir|télécharger|joindre|partager)",
    r"(?:lo siento)?\W*(?:pero )?no (?:veo|puedo ver|se ha proporcionado|has? (?:adjuntado|subido))"
    r"\b[^.]{0,20}?(?:imagen|foto)|por favor,? (?:sube|proporciona|adjunta|comparte|envía)\b",
    r"(?:desculpe)?\W*(?:mas )?(?:eu )?não (?:vejo|consigo ver|há)\b[^.]{0,20}?(?:imagem|foto)",
    r"(?:mi dispiace)?\W*(?:ma )?non (?:vedo|riesco a vedere|è stata fornita)\b[^.]{0,20}?(?:immagin|foto)",
    r"(?:извините)?\W*(?:но )?(?:я )?не вижу\b[^.]{0,20}?(?:изображени|картин|фото)"
    r"|изображение не (?:было )?(?:предоставлено|загружено|прикреплено)",
    r"(?:(?:很|非常)?抱歉|对不起|對不起)?[，,。！ ]*(?:但)?我?(?:没有|沒有|未能?|看不到|无法)(?:看到|收到|查看)?"
    r"(?:任何|您的|您上传的)?(?:图片|圖片|图像|圖像|照片)|请(?:您)?(?:上传|提供|发送)[^。]{0,8}(?:图|照)",
    r"[^。]{0,20}?画像(?:が|は)[^。]{0,12}?(?:見えません|添付されてい?ません|見当たりません)",
    r"[^.]{0,20}?(?:이미지|사진)[가이를은는] [^.]{0,12}?(?:없습니다|볼 수 없|제공되지|첨부되지)",
)
